//! Huffman's codes (ITU-T T.81, annexes C and F.2.2), and the tables that are meant where a frame has none.

use super::super::corrupt;
use error::{Error, Result};

/// Codes up to so many bits are found by one look.
const SHORT_BITS: u32 = 9;
const LONGEST_BITS: usize = 16;

/// How many codes there are of each length, and what they mean in the order of their codes.
pub(super) struct Table {
    /// Value and length by the next bits; length 0 where the code is longer, or none.
    short: Vec<(u8, u8)>,
    /// By length: the greatest code, and what to add to a code for the place of its value.
    longest: [Option<(u32, i32)>; LONGEST_BITS + 1],
    values: Vec<u8>,
}

impl Table {
    fn new(counts: &[u8; LONGEST_BITS], values: &[u8]) -> Result<Self> {
        let mut table =
            Self { short: vec![(0, 0); 1 << SHORT_BITS], longest: [None; LONGEST_BITS + 1], values: values.to_vec() };
        let (mut code, mut place) = (0_u32, 0_usize);
        for (length, &count) in (1_u32..).zip(counts) {
            if code + u32::from(count) > 1 << length {
                return Err(corrupt("the JPEG's Huffman table is damaged"));
            }
            if count > 0 {
                table.longest[length as usize] = Some((code + u32::from(count) - 1, place as i32 - code as i32));
            }
            for _ in 0..count {
                if let Some(free) = SHORT_BITS.checked_sub(length) {
                    let from = (code << free) as usize;
                    table.short[from..from + (1 << free)].fill((values[place], length as u8));
                }
                code += 1;
                place += 1;
            }
            code <<= 1;
        }
        Ok(table)
    }
}

/// The tables that stand under their numbers, for the first coefficients and for the others.
#[derive(Default)]
pub(super) struct Tables {
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
}

impl Tables {
    /// The standard ones, as those take them who leave them out (T.81, K.3).
    pub(super) fn standard() -> Result<Self> {
        let mut tables = Self::default();
        tables.define(&STANDARD)?;
        Ok(tables)
    }

    /// Takes those of a segment.
    pub(super) fn define(&mut self, mut body: &[u8]) -> Result<()> {
        let damaged = || corrupt("the JPEG's Huffman table is damaged");
        while let Some((&place, rest)) = body.split_first() {
            let (counts, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
            let sum = counts.iter().map(|&count| usize::from(count)).sum();
            let (values, rest) = rest.split_at_checked(sum).ok_or_else(damaged)?;
            let of_class = if place >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            *of_class.get_mut(usize::from(place & 15)).ok_or_else(damaged)? = Some(Table::new(counts, values)?);
            body = rest;
        }
        Ok(())
    }

    pub(super) fn dc(&self, number: u8) -> Result<&Table> {
        Self::one_of(&self.dc, number)
    }

    pub(super) fn ac(&self, number: u8) -> Result<&Table> {
        Self::one_of(&self.ac, number)
    }

    fn one_of(tables: &[Option<Table>; 4], number: u8) -> Result<&Table> {
        let table = tables.get(usize::from(number)).and_then(Option::as_ref);
        table.ok_or_else(|| corrupt("a Huffman table that the JPEG names is missing"))
    }
}

/// Compressed data, bit by bit, up to the next marker.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    /// The next bits from the top.
    next: u64,
    num_next: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, next: 0, num_next: 0 }
    }

    fn fill(&mut self) {
        while self.num_next <= 56 {
            let byte = match self.data.get(self.at..).unwrap_or_default() {
                [0xFF, 0x00, ..] => {
                    self.at += 1;
                    0xFF
                }
                [0xFF, ..] | [] => return,
                [byte, ..] => *byte,
            };
            self.at += 1;
            self.next |= u64::from(byte) << (56 - self.num_next);
            self.num_next += 8;
        }
    }

    fn skip(&mut self, bits: u32) -> Result<()> {
        self.num_next = self.num_next.checked_sub(bits).ok_or_else(breaks_off)?;
        self.next <<= bits;
        Ok(())
    }

    /// The value of the next code.
    pub(super) fn decode(&mut self, table: &Table) -> Result<u8> {
        if self.num_next < LONGEST_BITS as u32 {
            self.fill();
        }
        let (value, length) = table.short[(self.next >> (64 - SHORT_BITS)) as usize];
        if length > 0 {
            self.skip(length.into())?;
            return Ok(value);
        }
        for length in SHORT_BITS + 1..=LONGEST_BITS as u32 {
            let code = (self.next >> (64 - length)) as u32;
            if let Some((greatest, to_place)) = table.longest[length as usize]
                && code <= greatest
            {
                self.skip(length)?;
                let place = usize::try_from(code as i32 + to_place).ok();
                return place.and_then(|place| table.values.get(place)).copied().ok_or_else(damaged);
            }
        }
        Err(damaged())
    }

    /// A number of so many bits, of which the lower half is negative (F.2.2.1).
    pub(super) fn number(&mut self, bits: u8) -> Result<i32> {
        if bits == 0 {
            return Ok(0);
        }
        if bits > LONGEST_BITS as u8 {
            return Err(damaged());
        }
        let bits = u32::from(bits);
        if self.num_next < bits {
            self.fill();
        }
        let value = (self.next >> (64 - bits)) as i32;
        self.skip(bits)?;
        Ok(if value < 1 << (bits - 1) { value + 1 - (1 << bits) } else { value })
    }

    /// Goes on behind the restart marker that must stand here, the `count`th one of the scan.
    pub(super) fn restart(&mut self, count: usize) -> Result<()> {
        (self.next, self.num_next) = (0, 0);
        let rest = self.data.get(self.at..).unwrap_or_default();
        let fill = rest.iter().position(|&byte| byte != 0xFF).ok_or_else(breaks_off)?;
        if fill == 0 || rest[fill] != 0xD0 + (count % 8) as u8 {
            return Err(damaged());
        }
        self.at += fill + 1;
        Ok(())
    }
}

fn breaks_off() -> Error {
    corrupt("the JPEG breaks off before its end")
}

fn damaged() -> Error {
    corrupt("the JPEG's compressed data is damaged")
}

/// The body of a segment with the tables K.3 to K.6 of T.81.
#[rustfmt::skip]
pub(super) const STANDARD: [u8; 416] = [
    0x00, 0x00, 0x01, 0x05, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02,
    0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x10, 0x00, 0x02, 0x01, 0x03, 0x03, 0x02, 0x04, 0x03, 0x05, 0x05,
    0x04, 0x04, 0x00, 0x00, 0x01, 0x7D, 0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51,
    0x61, 0x07, 0x22, 0x71, 0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33,
    0x62, 0x72, 0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37,
    0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63,
    0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83, 0x84, 0x85, 0x86, 0x87,
    0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9,
    0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2,
    0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2,
    0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA, 0x01, 0x00, 0x03, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0A, 0x0B, 0x11, 0x00, 0x02,
    0x01, 0x02, 0x04, 0x04, 0x03, 0x04, 0x07, 0x05, 0x04, 0x04, 0x00, 0x01, 0x02, 0x77, 0x00, 0x01, 0x02, 0x03, 0x11, 0x04,
    0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22, 0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1,
    0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62, 0x72, 0xD1, 0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19,
    0x1A, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A,
    0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76,
    0x77, 0x78, 0x79, 0x7A, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
    0x99, 0x9A, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA,
    0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE2, 0xE3,
    0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
];
