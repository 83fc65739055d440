use std::{collections::BTreeMap, io::Cursor};

use image::{DynamicImage, ImageFormat};
use proptest::prelude::*;

use super::*;
use crate::{
    exif::{self, tests as exif_tests},
    golden,
};

macro_rules! fixtures {
    ($($name:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../tests/fixtures/images/", $name)).as_slice())),*]
    };
}

/// Pictures that Rust's encoders cannot make; see `make_encoded.py`.
const FIXTURES: [(&str, &[u8]); 12] = fixtures!(
    "progressive.jpg",
    "subsampled.jpg",
    "restarts.jpg",
    "rgb.jpg",
    "cmyk.jpg",
    "ycck.jpg",
    "lossy.webp",
    "animated.webp",
    "animated.png",
    "animated.gif",
    "bilevel.png",
    "palette.png"
);

fn fixture(name: &str) -> Vec<u8> {
    FIXTURES.iter().find(|(known, _)| *known == name).unwrap().1.to_vec()
}

fn read(bytes: &[u8]) -> Result<Photo> {
    let limits = DecodeLimits::default();
    decode(bytes, &read_header(bytes, &limits)?, &limits)
}

fn code_of(bytes: &[u8]) -> &'static str {
    read(bytes).unwrap_err().code()
}

fn encoded(image: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn picture() -> DynamicImage {
    let photo = golden::synthetic();
    image::RgbImage::from_raw(photo.width(), photo.height(), photo.pixels().to_vec()).unwrap().into()
}

/// Found to panic in decoders.
#[test]
fn a_decoder_that_panics_makes_an_error_of_its_photo() {
    let panicked = guarded::<()>(|| panic!("of a row beyond the last")).unwrap_err();
    assert_eq!((panicked.code(), panicked.kind()), ("unsupported_format", ErrorKind::Unsupported));
    assert!(!panicked.to_string().contains("row"), "{panicked}");
    let refused = read(include_bytes!("../../../tests/fixtures/images/tiled_planar.tif")).unwrap_err();
    assert_eq!(refused.code(), "unsupported_format", "{refused:?}");
}

/// One file of each format.
fn one_of_each() -> Vec<Vec<u8>> {
    let image = picture().crop_imm(0, 0, 41, 23);
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff]
        .map(|format| encoded(&image, format))
        .into()
}

#[test]
fn like_opencv() {
    let expected: BTreeMap<String, Vec<u8>> =
        serde_json::from_str(include_str!("../../../tests/fixtures/images/encoded.json")).unwrap();
    assert_eq!(expected.len(), FIXTURES.len());
    for (name, bytes) in FIXTURES {
        let photo = read(bytes).unwrap();
        assert_eq!((photo.width(), photo.height()), (45, 29), "{name}");
        // JPEG decoders may differ in the inverse transform and the upsampling; the others are exact.
        let levels = if name.ends_with("jpg") { 3 } else { 0 };
        let kept = photo.pixels().iter().step_by(7);
        let worst = kept.zip(&expected[name]).map(|(ours, theirs)| ours.abs_diff(*theirs)).max();
        assert!(worst <= Some(levels), "{name} is off by {worst:?} levels");
    }
}

/// JPEGs of every kind, with their pixels by libjpeg-turbo; see `make_jpegs.py`.
fn jpegs() -> impl Iterator<Item = (String, Vec<u8>, image::RgbImage)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/images/jpeg");
    let mut paths: Vec<_> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jpg"));
    paths.sort();
    paths.into_iter().map(move |path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let sampling = name.split('-').next().unwrap();
        let pixels = image::open(folder.join(format!("{sampling}.png"))).unwrap().to_rgb8();
        (name, std::fs::read(path).unwrap(), pixels)
    })
}

/// The mean and the greatest difference of two pictures' levels.
fn apart(one: &[u8], other: &[u8]) -> (f64, u8) {
    assert_eq!(one.len(), other.len());
    let levels = || one.iter().zip(other).map(|(one, other)| one.abs_diff(*other));
    (levels().map(f64::from).sum::<f64>() / one.len() as f64, levels().max().unwrap())
}

/// Samplings × scans × progressive × restart markers.
#[test]
fn a_jpeg_of_any_kind_has_the_pixels_that_libjpeg_gives_it_or_is_refused() {
    let (mut read_kinds, mut refused) = (0, Vec::new());
    for (name, bytes, expected) in jpegs() {
        match read(&bytes) {
            Ok(photo) => {
                let (mean, most) = apart(photo.pixels(), &expected);
                assert!(mean <= 1.0 && most <= 8, "{name} is {mean:.2} levels off, at most {most}");
                read_kinds += 1;
            }
            Err(error) => {
                assert_eq!(error.code(), "unsupported_format", "{name}: {error}");
                refused.push(name);
            }
        }
    }
    // Progressive ones whose chroma is finer than their luma, or with factors of three.
    assert!(refused.iter().all(|name| name.contains("-progressive")), "{refused:?}");
    assert_eq!((read_kinds, refused.len()), (176, 28), "{refused:?}");
}

/// What libjpeg reads with a warning, or without one.
#[test]
fn jpegs_that_stricter_decoders_stumble_over_are_read() {
    let without = |jpeg: &[u8], marker: u8| {
        let mut left = jpeg.to_vec();
        while let Some(at) = left.windows(2).position(|pair| pair == [0xFF, marker]) {
            let length = usize::from(u16::from_be_bytes([left[at + 2], left[at + 3]]));
            left.drain(at..at + 2 + length);
        }
        left
    };
    let before = |jpeg: &[u8], marker: u8, strays: &[u8]| {
        let at = jpeg.windows(2).position(|pair| pair == [0xFF, marker]).unwrap();
        [&jpeg[..at], strays, &jpeg[at..]].concat()
    };
    for width in [403, 640] {
        let image = picture().resize_exact(width, 300, image::imageops::FilterType::Triangle);
        for image in [image.clone(), image.to_luma8().into()] {
            let plain = encoded(&image, ImageFormat::Jpeg);
            let whole = read(&plain).unwrap();
            let mut no_end = plain.clone();
            no_end.truncate(plain.len() - 2);
            for (what, jpeg) in [
                ("no Huffman tables", without(&plain, 0xC4)),
                ("bytes between segments", before(&plain, 0xDB, &[0; 7])),
                ("bytes and fill between segments", before(&plain, 0xC0, b"\0stray\xFF\xFF")),
                ("no end", no_end),
                ("bytes behind the end", [plain.as_slice(), &[7; 999]].concat()),
                ("no tables, no end", without(&plain[..plain.len() - 2], 0xC4)),
            ] {
                assert!(
                    read(&jpeg).is_ok_and(|photo| photo == whole),
                    "{what}, {width} px wide: {:?}",
                    read(&jpeg).err()
                );
                let header = read_header(&jpeg, &DecodeLimits::default()).unwrap();
                let (_, decoding_bytes) = fuzzing::peak_bytes(|| decode(&jpeg, &header, &DecodeLimits::default()));
                assert!(decoding_bytes <= header.decoded_bytes() + fuzzing::SLACK_BYTES, "{what}");
            }
            // Without an end, and not whole.
            for length in (plain.len() / 2..plain.len() - 40).step_by(97) {
                assert_eq!(code_of(&plain[..length]), "corrupt_image", "cut to {length} of {}", plain.len());
            }
        }
    }
}

/// Colours are told by JFIF's mark, else by Adobe's, else by the components' names.
#[test]
fn rgb_without_any_mark_is_told_by_its_letters() {
    let jpeg = fixture("rgb.jpg");
    let expected = read(&jpeg).unwrap();
    let at = jpeg.windows(2).position(|pair| pair == [0xFF, 0xEE]).unwrap();
    let length = usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
    let unmarked = [&jpeg[..at], &jpeg[at + 2 + length..]].concat();
    assert!(read(&unmarked).unwrap() == expected);
}

#[test]
fn lossless_formats_keep_every_pixel() {
    let image = picture();
    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff] {
        assert!(read(&encoded(&image, format)).unwrap().pixels() == image.as_bytes(), "{format:?}");
    }
}

#[test]
fn sixteen_bits_grey_and_alpha() {
    let image = picture();
    let sixteen = read(&encoded(&image.to_rgb16().into(), ImageFormat::Png)).unwrap();
    assert!(sixteen.pixels() == image.as_bytes());

    let grey = image.to_luma8();
    let spread: Vec<u8> = grey.as_raw().iter().flat_map(|&level| [level; 3]).collect();
    for format in [ImageFormat::Png, ImageFormat::Tiff] {
        assert!(read(&encoded(&grey.clone().into(), format)).unwrap().pixels() == spread, "{format:?}");
    }
    let grey_jpeg = read(&encoded(&grey.into(), ImageFormat::Jpeg)).unwrap();
    assert!(grey_jpeg.pixels().chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));

    // Dropped, not composited: the colour under a fully transparent pixel stays.
    let mut transparent = image.to_rgba8();
    transparent.pixels_mut().enumerate().for_each(|(index, pixel)| pixel.0[3] = (index % 256) as u8);
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let photo = read(&encoded(&transparent.clone().into(), format)).unwrap();
        assert!(photo.pixels() == image.as_bytes(), "{format:?}");
    }
}

/// A JPEG with an EXIF segment that gives `orientation`.
fn with_orientation(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let mut exif =
        b"\xFF\xE1\x00\x22Exif\0\0MM\x00\x2A\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00".to_vec();
    exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
    [&jpeg[..2], &exif, &jpeg[2..]].concat()
}

#[test]
fn exif_turns_the_photo_upright() {
    let jpeg = encoded(&picture(), ImageFormat::Jpeg);
    let plain = read(&jpeg).unwrap();
    for exif in 1..=8 {
        let turned = with_orientation(&jpeg, exif);
        let header = read_header(&turned, &DecodeLimits::default()).unwrap();
        assert_eq!(header.orientation.to_exif(), exif);
        assert_eq!((header.width, header.height), (403, 301));
        let expected = upright(403, 301, plain.pixels().to_vec(), header.orientation).unwrap();
        assert!(read(&turned).unwrap() == expected, "orientation {exif}");
    }
    // Nonsense in the metadata is no reason to refuse the picture.
    assert!(read(&with_orientation(&jpeg, 77)).unwrap() == plain);
}

/// A file with a block of EXIF where its format has it, at the end where it may stand there.
fn with_exif(bytes: &[u8], block: &[u8]) -> Vec<u8> {
    match sniff(bytes).unwrap() {
        PhotoFormat::Jpeg => {
            let block = [exif::PREFIX, block.strip_prefix(exif::PREFIX).unwrap_or(block)].concat();
            let length = (block.len() as u16 + 2).to_be_bytes();
            [&bytes[..2], b"\xFF\xE1", &length, &block, &bytes[2..]].concat()
        }
        PhotoFormat::Png => {
            let (pixels, end) = bytes.split_at(bytes.len() - 12);
            let body = [b"eXIf", block].concat();
            [pixels, &(block.len() as u32).to_be_bytes(), &body, &crc32(&body).to_be_bytes(), end].concat()
        }
        PhotoFormat::WebP => {
            let padding: &[u8] = if block.len().is_multiple_of(2) { &[] } else { &[0] };
            let mut with = [bytes, b"EXIF", &(block.len() as u32).to_le_bytes(), block, padding].concat();
            let length = with.len() as u32 - 8;
            with[4..8].copy_from_slice(&length.to_le_bytes());
            with
        }
        format => panic!("{format:?} has no place for it"),
    }
}

#[test]
fn every_format_says_how_and_when_by_exif_with_a_prefix_and_without() {
    let time = jiff::civil::date(2026, 11, 23).at(9, 15, 0, 0);
    let image = picture();
    for orientation in [exif_tests::short(0x0112, 6), exif_tests::long(0x0112, 6)] {
        let original = [(0x9003, 2, b"2026:11:23 09:15:00\0".to_vec())];
        let block = exif_tests::block(std::slice::from_ref(&orientation), &[(0x8769, &original)]);
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let plain = encoded(&image, format);
            for block in [block.clone(), [exif::PREFIX, &block].concat()] {
                let file = with_exif(&plain, &block);
                let header = read_header(&file, &DecodeLimits::default()).unwrap();
                assert_eq!(header.orientation.to_exif(), 6, "{format:?}");
                assert_eq!(taken(&file), Some((time, None)), "{format:?}");
                assert_eq!(read(&file).unwrap().width(), 301, "{format:?}");
            }
        }
    }
    // A TIFF is a block of its own.
    let tiff = encoded(&image, ImageFormat::Tiff);
    assert_eq!(taken(&tiff), None);
    assert_eq!(read_header(&tiff, &DecodeLimits::default()).unwrap().orientation.to_exif(), 1);
}

#[test]
fn what_is_no_photo_is_told_apart() {
    assert_eq!(code_of(b""), "empty");
    assert_eq!(code_of(b"<html>not a picture, whatever its name says</html>"), "not_an_image");
    assert_eq!(code_of(&[0; 100]), "not_an_image");
    assert_eq!(code_of(b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf"), "unsupported_format");
    let heic = if cfg!(feature = "heic") { "corrupt_image" } else { "unsupported_format" };
    assert_eq!(code_of(b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00"), heic);
    assert_eq!(code_of(b"qoif\x00\x00\x00\x01\x00\x00\x00\x01\x03\x00"), "unsupported_format");
    let twelve_bits = b"\xFF\xD8\xFF\xC1\x00\x0B\x0C\x00\x10\x00\x10\x01\x01\x11\x00\xFF\xD9";
    assert_eq!(code_of(twelve_bits), "unsupported_format");
    let lossless = b"\xFF\xD8\xFF\xC3\x00\x0B\x08\x00\x10\x00\x10\x01\x01\x11\x00\xFF\xD9";
    assert_eq!(code_of(lossless), "unsupported_format");
}

#[test]
fn each_limit_has_its_error() {
    let png = encoded(&picture(), ImageFormat::Png);
    let code = |limits: DecodeLimits| read_header(&png, &limits).unwrap_err().code();
    assert_eq!(code(DecodeLimits { max_bytes: png.len() - 1, ..Default::default() }), "too_many_bytes");
    assert_eq!(code(DecodeLimits { max_side: 402, ..Default::default() }), "side_too_long");
    assert_eq!(code(DecodeLimits { max_pixels: 403 * 301 - 1, ..Default::default() }), "too_many_pixels");
    let exactly = DecodeLimits { max_bytes: png.len(), max_side: 403, max_pixels: 403 * 301 };
    assert!(decode(&png, &read_header(&png, &exactly).unwrap(), &exactly).is_ok());
}

/// CRC-32 as PNG's chunks carry it.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 * (crc & 1)))
    })
}

#[test]
fn a_header_that_claims_60_000_by_60_000() {
    let image = picture();
    let side = 60_000_u32;

    let mut jpeg = encoded(&image, ImageFormat::Jpeg);
    let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xEA, 0x60, 0xEA, 0x60]);

    let mut png = encoded(&image, ImageFormat::Png);
    png[16..20].copy_from_slice(&side.to_be_bytes());
    png[20..24].copy_from_slice(&side.to_be_bytes());
    let crc = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());

    let mut bmp = encoded(&image, ImageFormat::Bmp);
    bmp[18..22].copy_from_slice(&side.to_le_bytes());
    bmp[22..26].copy_from_slice(&side.to_le_bytes());

    let mut gif = fixture("animated.gif");
    gif[6..10].copy_from_slice(&[0x60, 0xEA, 0x60, 0xEA]);

    for (name, bytes) in [("jpeg", jpeg), ("png", png), ("bmp", bmp), ("gif", gif)] {
        assert_eq!(code_of(&bytes), "side_too_long", "{name}");
    }
}

/// Cut anywhere, a picture is refused, or the cut took nothing of it.
#[test]
fn no_half_photos() {
    let fixtures = FIXTURES.iter().map(|(_, bytes)| bytes.to_vec());
    for bytes in fixtures.chain(one_of_each()) {
        let whole = read(&bytes).unwrap();
        for length in 0..bytes.len() {
            if let Ok(photo) = read(&bytes[..length]) {
                assert!(photo == whole, "cut to {length} of {} bytes", bytes.len());
            }
        }
    }
}

/// Some senders put the end marker behind whatever arrived.
#[test]
fn no_half_jpegs_with_an_end_stuck_on() {
    let wide = picture().resize_exact(640, 400, image::imageops::FilterType::Triangle);
    for image in [wide.clone(), wide.to_luma8().into()] {
        let bytes = encoded(&image, ImageFormat::Jpeg);
        let whole = read(&bytes).unwrap();
        for length in (0..bytes.len() - 100).step_by(101) {
            if let Ok(photo) = read(&[&bytes[..length], &[0xFF, 0xD9]].concat()) {
                assert!(photo == whole, "cut to {length} of {} bytes", bytes.len());
            }
        }
    }
}

/// The emptiest pictures have the shortest rows: they must not be taken for ones that break off.
#[test]
fn plain_jpegs_of_any_size_are_whole() {
    for width in [1, 7, 8, 64, 255, 511, 512, 513, 520, 1000] {
        for height in [1, 8, 9, 40] {
            let grey = image::GrayImage::from_pixel(width, height, image::Luma([90]));
            let photo = read(&encoded(&grey.into(), ImageFormat::Jpeg)).unwrap();
            assert!(photo.pixels().iter().all(|level| level.abs_diff(90) <= 1), "{width}×{height}");
        }
    }
}

#[test]
fn the_cost_covers_the_photo_and_its_turning() {
    let jpeg = encoded(&picture(), ImageFormat::Jpeg);
    let cost = |bytes: &[u8]| read_header(bytes, &DecodeLimits::default()).unwrap().decoded_bytes();
    assert_eq!(cost(&jpeg), 403 * 301 * 3);
    assert_eq!(cost(&with_orientation(&jpeg, 6)), 403 * 301 * 6);
    assert_eq!(cost(&fixture("progressive.jpg")), 45 * 29 * 9);
    assert!(cost(&encoded(&picture().to_rgba8().into(), ImageFormat::Png)) >= 403 * 301 * 7);
}

/// A PNG with more chunks behind its header.
fn with_chunks(png: &[u8], chunks: &[(&[u8; 4], &[u8])]) -> Vec<u8> {
    const HEADER_END: usize = 33;
    let mut bytes = png[..HEADER_END].to_vec();
    for (kind, data) in chunks {
        let body = [&kind[..], data].concat();
        bytes.extend((data.len() as u32).to_be_bytes());
        bytes.extend(&body);
        bytes.extend(crc32(&body).to_be_bytes());
    }
    bytes.extend(&png[HEADER_END..]);
    bytes
}

/// The compressed pixels of a black picture, of some thousand times their size.
fn compressed_nothing() -> Vec<u8> {
    let black = encoded(&image::GrayImage::new(4000, 4000).into(), ImageFormat::Png);
    let start = black.windows(4).position(|kind| kind == b"IDAT").unwrap();
    let length = u32::from_be_bytes(black[start - 4..start].try_into().unwrap()) as usize;
    black[start + 4..start + 4 + length].to_vec()
}

#[test]
fn what_is_no_pixel_of_a_png_never_reaches_the_decoder() {
    let plain = encoded(&picture(), ImageFormat::Png);
    let nothing = compressed_nothing();
    let profile = [b"profile\0\0", nothing.as_slice()].concat();
    let text = [b"Comment\0\0", nothing.as_slice()].concat();
    let unicode = [b"Comment\0\x01\0\0\0", nothing.as_slice()].concat();
    let exif = b"MM\x00\x2A\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00";
    let chunks: [(&[u8; 4], &[u8]); 6] = [
        (b"iCCP", &profile),
        (b"zTXt", &text),
        (b"iTXt", &unicode),
        (b"tEXt", b"a\0b"),
        (b"eXIf", exif),
        (b"unKn", &nothing),
    ];
    let full = with_chunks(&plain, &chunks);
    let matters = png::that_matters(&full);
    assert!(*matters == with_chunks(&plain, &[(b"eXIf", exif)]), "all but the orientation is left out");
    assert!(matches!(png::that_matters(&plain), std::borrow::Cow::Borrowed(_)), "nothing to leave out, nothing copied");
    assert!(png::head(&full).len() < 200);
    let header = read_header(&full, &DecodeLimits::default()).unwrap();
    assert_eq!(header.orientation.to_exif(), 6, "what says how the camera was held is read");
    let upright = upright(403, 301, read(&plain).unwrap().pixels().to_vec(), header.orientation).unwrap();
    assert!(read(&full).unwrap() == upright);
    // Damaged ones, and those that break off, are no reason to refuse a picture, nor to read beyond its end.
    assert!(read(&with_chunks(&plain, &[(b"iCCP", b"nonsense")])).unwrap() == read(&plain).unwrap());
    for length in 0..full.len().min(4000) {
        let _ = read(&full[..length]);
    }
}

#[test]
fn an_index_of_a_tiff_that_is_longer_than_any_photo_needs_is_refused() {
    let tiff = encoded(&picture(), ImageFormat::Tiff);
    assert!(&tiff[..4] == b"II*\0", "as the encoder writes it");
    let index = u32::from_le_bytes(tiff[4..8].try_into().unwrap()) as usize;
    let entries = u16::from_le_bytes(tiff[index..index + 2].try_into().unwrap()) as usize;
    for entry in 0..entries {
        let at = index + 2 + 12 * entry;
        let mut long = tiff.clone();
        long[at + 4..at + 8].copy_from_slice(&(1_u32 << 24).to_le_bytes());
        let error = read(&long).unwrap_err();
        assert!(error.message().contains("longer than any photo"), "entry {entry}: {error}");
    }
    for broken in [&b"II*\0"[..], b"II*\0\xFF\xFF\xFF\xFF", b"MM\0*\0\0\0\x08", b"MM\0*\0\0\0\x08\xFF\xFF\0"] {
        assert_eq!(code_of(broken), "corrupt_image", "{broken:?}");
    }
    assert_eq!(code_of(b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0"), "not_an_image", "64 bits");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Damaged files are refused or read, and nothing panics.
    #[test]
    fn damage_never_panics(
        which in 0..18_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        keep_all in any::<bool>(),
    ) {
        let mut files: Vec<Vec<u8>> = FIXTURES.iter().map(|(_, bytes)| bytes.to_vec()).collect();
        files.extend(one_of_each());
        let mut bytes = files.swap_remove(which);
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        if !keep_all {
            bytes.truncate(cut.index(bytes.len()));
        }
        let limits = DecodeLimits { max_pixels: 1_000_000, ..Default::default() };
        if let Ok(header) = read_header(&bytes, &limits)
            && let Ok(photo) = decode(&bytes, &header, &limits)
        {
            prop_assert_eq!(photo.longest_side(), header.width.max(header.height));
        }
    }

    /// Bytes that only begin like a picture.
    #[test]
    fn noise_behind_a_magic_number_never_panics(
        magic in prop::sample::select(vec![
            &b"\xFF\xD8\xFF"[..], b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"RIFF\xFF\0\0\0WEBPVP8 ",
        ]),
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = read(&[magic, &noise].concat());
    }
}

/// The same picture in a file of some megabytes more, which a decoder reads.
fn padded(name: &str) -> Vec<u8> {
    const MORE_BYTES: usize = 8 << 20;
    let mut bytes = fixture(name);
    let (at, more) = match name {
        "progressive.jpg" => {
            let comment = [&[0xff, 0xfe, 0xff, 0xff][..], &vec![0; 0xfffd]].concat();
            (2, comment.repeat(MORE_BYTES >> 16))
        }
        "palette.png" => {
            let head = [&(MORE_BYTES as u32).to_be_bytes()[..], b"eXIf"].concat();
            (33, [head, vec![0; MORE_BYTES + 4]].concat())
        }
        "lossy.webp" => {
            for size in [4, 16] {
                let known = u32::from_le_bytes(*bytes[size..].first_chunk().unwrap());
                bytes[size..size + 4].copy_from_slice(&(known + MORE_BYTES as u32).to_le_bytes());
            }
            (bytes.len(), vec![0; MORE_BYTES])
        }
        "animated.gif" => {
            let has_palette = bytes[10] & 0x80 != 0;
            let palette = if has_palette { 3 << ((bytes[10] & 7) + 1) } else { 0 };
            let block = [&[0xff][..], &[b'c'; 0xff]].concat();
            (13 + palette, [&[0x21, 0xfe][..], &block.repeat(MORE_BYTES >> 8), &[0]].concat())
        }
        _ => unreachable!(),
    };
    bytes.splice(at..at, more);
    bytes
}

#[test]
fn what_stands_in_memory_of_a_file_beside_its_pixels_was_promised() {
    let limits = DecodeLimits::default();
    for name in ["progressive.jpg", "palette.png", "lossy.webp", "animated.gif"] {
        let bytes = padded(name);
        let (header, reading_bytes) = fuzzing::peak_bytes(|| read_header(&bytes, &limits));
        let header = header.unwrap();
        assert!(reading_bytes <= bytes.len() + fuzzing::SLACK_BYTES, "{name}: {reading_bytes} bytes of its head");
        let (photo, decoding_bytes) = fuzzing::peak_bytes(|| decode(&bytes, &header, &limits));
        let promised = header.decoded_bytes();
        assert!(decoding_bytes <= promised + fuzzing::SLACK_BYTES, "{name}: {decoding_bytes} of {promised} bytes");
        drop(photo);
    }
}
