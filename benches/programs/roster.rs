//! Composes a roster to import: `roster.csv` and `photos.zip`, people with a photo each, which are warped copies of a
//! few portraits; and `twins.csv` with `twins.zip`, further people whose photos are copies of some of theirs.
//!
//! ```text
//! roster OUT_DIR PEOPLE TWINS PORTRAIT…
//! ```

use std::{
    env,
    error::Error,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use image::{DynamicImage, Rgb, RgbImage, codecs::jpeg::JpegEncoder, imageops::FilterType};
use rayon::prelude::*;
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

/// The copies' height: the face of a portrait stays wider than enrolment wants.
const HEIGHT_PX: u32 = 240;
const JPEG_QUALITY: u8 = 85;
/// Photos made at once, before they are written.
const AT_ONCE: usize = 512;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [out, people, twins, portraits @ ..] = args.as_slice() else {
        return Err("usage: roster OUT_DIR PEOPLE TWINS PORTRAIT…".into());
    };
    let (out, people, twins): (&Path, usize, usize) = (Path::new(out), people.parse()?, twins.parse()?);
    let portraits = portraits.iter().map(image::open).collect::<Result<Vec<DynamicImage>, _>>()?;
    if portraits.is_empty() || twins > people {
        return Err("give portraits, and no more twins than people".into());
    }
    let portraits: Vec<RgbImage> =
        portraits.iter().map(|portrait| portrait.resize(u32::MAX, HEIGHT_PX, FilterType::Triangle).to_rgb8()).collect();
    let person = |number: usize| (format!("p{number:06}"), String::new(), number);
    write(out, "roster", "photos", &portraits, &(0..people).map(person).collect::<Vec<_>>())?;
    // Evenly over the people, so that each portrait has some.
    let twin = |number: usize| {
        let of = number * people / twins.max(1);
        (format!("twin{number:06}"), format!("p{of:06}"), of)
    };
    write(out, "twins", "twins", &portraits, &(0..twins).map(twin).collect::<Vec<_>>())
}

/// Writes people, each with the id of whom they are a twin and the number of their photo.
fn write(
    out: &Path,
    csv: &str,
    zip: &str,
    portraits: &[RgbImage],
    people: &[(String, String, usize)],
) -> Result<(), Box<dyn Error>> {
    let mut table = BufWriter::new(File::create(out.join(format!("{csv}.csv")))?);
    let mut archive = ZipWriter::new(BufWriter::new(File::create(out.join(format!("{zip}.zip")))?));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    writeln!(table, "id,name,email,seat,twin_of")?;
    for people in people.chunks(AT_ONCE) {
        let photos: Vec<Vec<u8>> = people
            .par_iter()
            .map(|&(_, _, number)| jpeg(&warped(&portraits[number % portraits.len()], number as u64)))
            .collect();
        for ((id, twin_of, number), photo) in people.iter().zip(photos) {
            writeln!(table, "{id},Person {number},{id}@school.example,{},{twin_of}", number % 40)?;
            archive.start_file(format!("{id}/1.jpg"), options)?;
            archive.write_all(&photo)?;
            if !twin_of.is_empty() {
                // A byte more, after the picture's end: the same face in another file.
                archive.write_all(&[0])?;
            }
        }
    }
    archive.finish()?.flush()?;
    Ok(table.flush()?)
}

/// A copy that is turned, scaled, shifted and lit a little differently; each seed has its own.
fn warped(portrait: &RgbImage, seed: u64) -> RgbImage {
    let mut chance = Chance(seed);
    let (angle, scale) = (chance.within(0.12), 1.0 + chance.within(0.08));
    let (dx, dy, light) = (chance.within(6.0), chance.within(6.0), chance.within(25.0));
    let is_mirrored = chance.within(1.0) > 0.0;
    let (width, height) = (portrait.width() as f32, portrait.height() as f32);
    let (sin, cos) = (angle.sin() / scale, angle.cos() / scale);
    RgbImage::from_fn(portrait.width(), portrait.height(), |x, y| {
        let x = if is_mirrored { width - 1.0 - x as f32 } else { x as f32 };
        let (x, y) = (x - width / 2.0 - dx, y as f32 - height / 2.0 - dy);
        let (x, y) = (cos * x + sin * y + width / 2.0, cos * y - sin * x + height / 2.0);
        let pixel = bilinear(portrait, x.clamp(0.0, width - 1.001), y.clamp(0.0, height - 1.001));
        Rgb(pixel.map(|channel| (channel + light).clamp(0.0, 255.0) as u8))
    })
}

fn bilinear(image: &RgbImage, x: f32, y: f32) -> [f32; 3] {
    let (left, top) = (x as u32, y as u32);
    let (right, bottom) = ((left + 1).min(image.width() - 1), (top + 1).min(image.height() - 1));
    let (fx, fy) = (x.fract(), y.fract());
    let at = |x, y| image.get_pixel(x, y).0.map(f32::from);
    let (a, b, c, d) = (at(left, top), at(right, top), at(left, bottom), at(right, bottom));
    std::array::from_fn(|n| (a[n] * (1.0 - fx) + b[n] * fx) * (1.0 - fy) + (c[n] * (1.0 - fx) + d[n] * fx) * fy)
}

fn jpeg(photo: &RgbImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    // Writing to memory cannot fail, and the picture is far from a JPEG's limits.
    if JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(photo).is_err() {
        bytes.clear();
    }
    bytes
}

/// Numbers that look like chance and are the same every time (splitmix64).
struct Chance(u64);

impl Chance {
    /// Between -`range` and `range`.
    fn within(&mut self, range: f32) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((mixed ^ (mixed >> 31)) >> 40) as f32 / (1_u64 << 24) as f32;
        range * (2.0 * unit - 1.0)
    }
}
