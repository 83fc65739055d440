//! Composes a class photo: portraits side by side on a grey wall, each scaled to one height; `/` starts a new row.
//!
//! ```text
//! compose OUT.jpg HEIGHT_PX PORTRAIT[:mirror][:dark]… [/ PORTRAIT…]…
//! ```

use std::{env, error::Error, fs::File, io::BufWriter};

use image::{DynamicImage, Rgb, RgbImage, codecs::jpeg::JpegEncoder, imageops::FilterType};

const WALL: Rgb<u8> = Rgb([128, 130, 132]);
const GAP_PX: u32 = 24;
const JPEG_QUALITY: u8 = 80;
/// What `dark` adds to every channel.
const DARKER: i32 = -35;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let (Some(out), Some(height)) = (args.next(), args.next()) else {
        return Err("usage: compose OUT.jpg HEIGHT_PX PORTRAIT[:mirror][:dark]… [/ PORTRAIT…]…".into());
    };
    let height: u32 = height.parse()?;
    let named: Vec<String> = args.collect();
    let rows = named
        .split(|name| name == "/")
        .map(|row| row.iter().map(|portrait| open(portrait, height)).collect())
        .collect::<Result<Vec<Vec<_>>, Box<dyn Error>>>()?;
    let row_width = |row: &Vec<DynamicImage>| row.iter().map(|portrait| portrait.width() + GAP_PX).sum::<u32>();
    let width = rows.iter().map(row_width).max().unwrap_or_default() + GAP_PX;
    let mut photo = RgbImage::from_pixel(width, rows.len() as u32 * (height + GAP_PX) + GAP_PX, WALL);
    let mut top = GAP_PX;
    for row in &rows {
        let mut left = GAP_PX;
        for portrait in row {
            image::imageops::overlay(&mut photo, &portrait.to_rgb8(), left.into(), top.into());
            left += portrait.width() + GAP_PX;
        }
        top += height + GAP_PX;
    }
    photo.write_with_encoder(JpegEncoder::new_with_quality(BufWriter::new(File::create(out)?), JPEG_QUALITY))?;
    Ok(())
}

/// A portrait of that height, changed as its name's suffixes say.
fn open(portrait: &str, height: u32) -> Result<DynamicImage, Box<dyn Error>> {
    let mut parts = portrait.split(':');
    let image = image::open(parts.next().unwrap_or_default())?;
    let mut image = image.resize(u32::MAX, height, FilterType::Triangle);
    for change in parts {
        image = match change {
            "mirror" => image.fliph(),
            "dark" => image.brighten(DARKER),
            _ => return Err(format!("{change} is not a change: mirror or dark").into()),
        };
    }
    Ok(image)
}
