//! Sequential JPEGs of the kinds that cameras seldom write: a scan for each component, chroma finer than luma, factors of
//! three. zune-jpeg 0.5 gives other pixels for these. Slower, and exact: to the level the same pixels as libjpeg's.

use super::{
    super::{corrupt, unsupported},
    Head,
    frame::{Frame, ScanPart, read_scan},
    huffman::{Bits, Table, Tables},
    inverse::transformed,
    planes::{BLOCK, Extent, Plane, pixels},
    segments::{END, HUFFMAN, QUANTISATION, RESTART_INTERVAL, SCAN, segments},
};
use error::Result;

/// Where the coefficients stand in a block, in the order in which they come (T.81, figure A.6).
#[rustfmt::skip]
const ZIGZAG: [usize; BLOCK * BLOCK] = [
     0,  1,  8, 16,  9,  2,  3, 10, 17, 24, 32, 25, 18, 11,  4,  5,
    12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13,  6,  7, 14, 21, 28,
    35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

type Block = [i32; BLOCK * BLOCK];
type Quantisation = [i32; BLOCK * BLOCK];

/// Bytes held for the planes of a picture.
pub(super) fn planes_bytes(frame: &Frame) -> u64 {
    frame.components.iter().map(|&component| Extent::of(component, frame).bytes() as u64).sum()
}

/// Pixels in RGB.
pub(super) fn decode(bytes: &[u8], head: &Head<'_>) -> Result<Vec<u8>> {
    let frame = &head.frame;
    if frame.components.len() == 4 || !frame.is_whole() {
        return Err(unsupported("this rare kind of JPEG is not read: store it as a plain JPEG or as PNG"));
    }
    let mut planes: Vec<Plane> = frame.components.iter().map(|&component| Plane::new(component, frame)).collect();
    let mut tables: [Option<Quantisation>; 4] = [None; 4];
    for_each_block(bytes, frame, |found| match found {
        Found::Tables(body) => read_quantisation(body, &mut tables),
        Found::Block { component, column, row, block } => {
            let number = usize::from(frame.components[component].table);
            let missing = || corrupt("a quantisation table that the JPEG names is missing");
            let table = tables.get(number).and_then(Option::as_ref).ok_or_else(missing)?;
            let block = std::array::from_fn(|place| block[place].wrapping_mul(table[place]));
            planes[component].put(column, row, &transformed(&block));
            Ok(())
        }
    })?;
    Ok(pixels(frame, &planes, head.is_rgb()))
}

/// Errors where compressed data is missing: in what other decoders take for grey.
pub(super) fn require_whole(bytes: &[u8], frame: &Frame) -> Result<()> {
    for_each_block(bytes, frame, |_| Ok(()))
}

/// What comes of a file, in its order.
enum Found<'a> {
    /// A segment with quantisation tables.
    Tables(&'a [u8]),
    /// Coefficients of a component's block, in rows.
    Block { component: usize, column: usize, row: usize, block: &'a Block },
}

/// Goes through all blocks of all scans. Errors where one breaks off or is missing.
fn for_each_block(bytes: &[u8], frame: &Frame, mut take: impl FnMut(Found<'_>) -> Result<()>) -> Result<()> {
    let mut huffman = Tables::standard()?;
    let mut restart_interval = 0;
    let mut has_come = vec![false; frame.components.len()];
    for segment in segments(bytes) {
        match segment.marker {
            HUFFMAN => huffman.define(segment.body)?,
            QUANTISATION => take(Found::Tables(segment.body))?,
            RESTART_INTERVAL => {
                let interval = segment.body.first_chunk().ok_or_else(|| corrupt("the JPEG's header is damaged"))?;
                restart_interval = usize::from(u16::from_be_bytes(*interval));
            }
            SCAN => {
                let parts = read_scan(segment.body, frame)?;
                for part in &parts {
                    if std::mem::replace(&mut has_come[part.component], true) {
                        return Err(corrupt("the JPEG has a part of the picture twice"));
                    }
                }
                Scan { frame, parts: &parts, huffman: &huffman, restart_interval }.walk(segment.data(), &mut take)?;
            }
            END => break,
            _ => {}
        }
    }
    if has_come.contains(&false) {
        return Err(corrupt("the JPEG breaks off before its end"));
    }
    Ok(())
}

struct Scan<'a> {
    frame: &'a Frame,
    parts: &'a [ScanPart],
    huffman: &'a Tables,
    /// In units; 0 without any.
    restart_interval: usize,
}

impl Scan<'_> {
    fn walk(&self, data: &[u8], take: &mut impl FnMut(Found<'_>) -> Result<()>) -> Result<()> {
        let mut bits = Bits::new(data);
        let mut last = [0_i32; 4];
        let tables = |part: &ScanPart| Ok((self.huffman.dc(part.dc)?, self.huffman.ac(part.ac)?));
        let tables: Vec<(&Table, &Table)> = self.parts.iter().map(tables).collect::<Result<_>>()?;
        let [columns, rows] = self.units();
        for unit in 0..columns * rows {
            if self.restart_interval > 0 && unit > 0 && unit.is_multiple_of(self.restart_interval) {
                bits.restart(unit / self.restart_interval - 1)?;
                last = [0; 4];
            }
            for (part, (dc, ac)) in self.parts.iter().zip(&tables) {
                let [across, down] = self.blocks(part);
                for block in 0..across * down {
                    let coefficients = coefficients(&mut bits, dc, ac, &mut last[part.component])?;
                    take(Found::Block {
                        component: part.component,
                        column: unit % columns * across + block % across,
                        row: unit / columns * down + block / across,
                        block: &coefficients,
                    })?;
                }
            }
        }
        Ok(())
    }

    /// Units across and down: of a single component its blocks, else the blocks that stand for the same pixels.
    fn units(&self) -> [usize; 2] {
        let component = self.frame.components[self.parts[0].component];
        let extent = Extent::of(component, self.frame);
        match self.parts {
            [_] => extent.samples.map(|samples| samples.div_ceil(BLOCK)),
            _ => [0, 1].map(|axis| extent.blocks[axis] / usize::from(component.sampling[axis])),
        }
    }

    /// Blocks of a component in a unit.
    fn blocks(&self, part: &ScanPart) -> [usize; 2] {
        match self.parts {
            [_] => [1, 1],
            _ => self.frame.components[part.component].sampling.map(usize::from),
        }
    }
}

/// A block's coefficients (T.81, F.2.2); `last` is the first one of the component's block before.
fn coefficients(bits: &mut Bits<'_>, dc: &Table, ac: &Table, last: &mut i32) -> Result<Block> {
    let mut block = [0; BLOCK * BLOCK];
    let size = bits.decode(dc)?;
    *last = last.wrapping_add(bits.number(size)?);
    block[0] = *last;
    let mut at = 1;
    while at < ZIGZAG.len() {
        let (zeros, size) = {
            let code = bits.decode(ac)?;
            (usize::from(code >> 4), code & 15)
        };
        if size == 0 {
            // Sixteen zeros, or nothing but zeros.
            if zeros < 15 {
                break;
            }
            at += 16;
            continue;
        }
        at += zeros;
        let value = bits.number(size)?;
        let place = ZIGZAG.get(at).ok_or_else(|| corrupt("the JPEG's compressed data is damaged"))?;
        block[*place] = value;
        at += 1;
    }
    Ok(block)
}

fn read_quantisation(mut body: &[u8], tables: &mut [Option<Quantisation>; 4]) -> Result<()> {
    let damaged = || corrupt("the JPEG's quantisation table is damaged");
    while let Some((&head, rest)) = body.split_first() {
        let step_bytes = if head >> 4 == 0 { 1 } else { 2 };
        let (steps, rest) = rest.split_at_checked(step_bytes * ZIGZAG.len()).ok_or_else(damaged)?;
        let table = tables.get_mut(usize::from(head & 15)).ok_or_else(damaged)?.insert([0; BLOCK * BLOCK]);
        for (step, place) in steps.chunks_exact(step_bytes).zip(ZIGZAG) {
            table[place] = step.iter().fold(0, |sum, &byte| sum << 8 | i32::from(byte));
        }
        body = rest;
    }
    Ok(())
}
