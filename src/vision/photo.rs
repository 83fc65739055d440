//! A decoded photo.

use error::{Error, Result};

/// An upright photo: RGB, 8 bits a channel, rows from the top, no padding. Never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Photo {
    width: u32,
    height: u32,
    pixels: Vec<u8>,
}

impl Photo {
    /// Bytes a pixel.
    pub const CHANNELS: usize = 3;

    /// A photo of `pixels`, which must hold `width × height × 3` bytes.
    ///
    /// Errors: `invalid` for a side of zero or a buffer of another length.
    pub fn new(width: u32, height: u32, pixels: Vec<u8>) -> Result<Self> {
        let length = (width as usize).checked_mul(height as usize).and_then(|count| count.checked_mul(Self::CHANNELS));
        if width == 0 || height == 0 || length != Some(pixels.len()) {
            let message = format!("{} bytes do not make an RGB photo of {width}×{height} pixels", pixels.len());
            return Err(Error::invalid(message));
        }
        Ok(Self { width, height, pixels })
    }

    /// Columns.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The longer of width and height.
    pub fn longest_side(&self) -> u32 {
        self.width.max(self.height)
    }

    /// All pixels, `height × width × 3`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Gives the buffer away, to be used again.
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// Bytes from one row to the next.
    pub fn stride(&self) -> usize {
        self.width as usize * Self::CHANNELS
    }
}

/// Without the pixels: a photo must not leak into a log.
impl std::fmt::Debug for Photo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Photo({}×{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_must_fit() {
        assert!(Photo::new(2, 3, vec![0; 18]).is_ok());
        assert!(Photo::new(2, 3, vec![0; 17]).is_err());
        assert!(Photo::new(0, 3, vec![]).is_err());
        assert!(Photo::new(u32::MAX, u32::MAX, vec![0; 3]).is_err());
    }

    #[test]
    fn debug_shows_no_pixels() {
        assert_eq!(format!("{:?}", Photo::new(1, 1, vec![200; 3]).unwrap()), "Photo(1×1)");
    }
}
