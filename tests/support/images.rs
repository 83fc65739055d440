//! Photos for the tests: portraits of the fixtures, and class photos composed of them.

use std::{fs, io::Cursor, path::Path};

use image::{ImageFormat, Rgb, RgbImage, codecs::jpeg::JpegEncoder, imageops};

/// The JPEG `tests/fixtures/portraits/{shot}.jpg`.
pub(crate) fn portrait(shot: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/portraits/{shot}.jpg"))).unwrap()
}

/// The pixels of a photo.
pub(crate) fn pixels(photo: &[u8]) -> RgbImage {
    image::load_from_memory(photo).unwrap().to_rgb8()
}

/// The portrait's pixels, scaled to a width.
pub(crate) fn scaled(shot: &str, width: u32) -> RgbImage {
    let photo = pixels(&portrait(shot));
    let height = photo.height() * width / photo.width();
    imageops::resize(&photo, width, height, imageops::FilterType::Triangle)
}

/// One photo with these shots side by side, each scaled to its width in pixels.
pub(crate) fn class_photo(shots: &[(&str, u32)]) -> Vec<u8> {
    let portraits: Vec<RgbImage> = shots.iter().map(|&(shot, width)| scaled(shot, width)).collect();
    let width = portraits.iter().map(RgbImage::width).sum();
    let height = portraits.iter().map(RgbImage::height).max().unwrap();
    let mut photo = RgbImage::from_pixel(width, height, Rgb([90, 100, 110]));
    let mut left = 0;
    for portrait in &portraits {
        imageops::replace(&mut photo, portrait, left, 0);
        left += i64::from(portrait.width());
    }
    jpeg(&photo)
}

/// A photo with nobody in it.
pub(crate) fn empty_room(width: u32, height: u32) -> Vec<u8> {
    jpeg(&RgbImage::from_fn(width, height, |x, y| Rgb([(x % 200) as u8, (y % 200) as u8, 120])))
}

pub(crate) fn jpeg(photo: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 92).encode_image(photo).unwrap();
    bytes
}

/// Any pixels in any format of the `image` crate.
pub(crate) fn encoded(photo: &image::DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    photo.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}
