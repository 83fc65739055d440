//! Planes of samples to pixels, as libjpeg makes them: coarser planes are made finer by the triangle filter where they
//! are half as fine, else by repeating their samples.

use super::frame::{Component, Frame};

/// Samples of a block's side.
pub(super) const BLOCK: usize = 8;

/// The samples of a component.
pub(super) struct Plane {
    samples: Vec<u8>,
    stride: usize,
    /// Samples that stand for pixels; those beyond fill up the last blocks.
    width: usize,
    height: usize,
    /// How many pixels a sample stands for in each direction.
    pixels: [usize; 2],
}

/// How large a component's plane is.
#[derive(Clone, Copy)]
pub(super) struct Extent {
    /// Blocks in whole units of an interleaved scan.
    pub(super) blocks: [usize; 2],
    /// Samples that stand for pixels.
    pub(super) samples: [usize; 2],
}

impl Extent {
    pub(super) fn of(component: Component, frame: &Frame) -> Self {
        let (finest, size) = (frame.finest(), [frame.width, frame.height]);
        let along = |axis: usize| {
            let (factor, finest) = (usize::from(component.sampling[axis]), usize::from(finest[axis]));
            let pixels = usize::from(size[axis]);
            (pixels.div_ceil(finest * BLOCK) * factor, (pixels * factor).div_ceil(finest))
        };
        let (across, down) = (along(0), along(1));
        Self { blocks: [across.0, down.0], samples: [across.1, down.1] }
    }

    pub(super) fn bytes(self) -> usize {
        self.blocks[0] * self.blocks[1] * BLOCK * BLOCK
    }
}

impl Plane {
    pub(super) fn new(component: Component, frame: &Frame) -> Self {
        let extent = Extent::of(component, frame);
        let finest = frame.finest();
        Self {
            samples: vec![0; extent.bytes()],
            stride: extent.blocks[0] * BLOCK,
            width: extent.samples[0],
            height: extent.samples[1],
            pixels: [0, 1].map(|axis| usize::from(finest[axis] / component.sampling[axis])),
        }
    }

    /// Puts a block's samples where they belong.
    pub(super) fn put(&mut self, column: usize, row: usize, block: &[u8; BLOCK * BLOCK]) {
        for (line, samples) in block.chunks_exact(BLOCK).enumerate() {
            let start = (row * BLOCK + line) * self.stride + column * BLOCK;
            self.samples[start..start + BLOCK].copy_from_slice(samples);
        }
    }

    fn row(&self, row: usize) -> &[u8] {
        &self.samples[row * self.stride..][..self.width]
    }

    /// Makes one row of pixels.
    fn fill(&self, y: usize, pixels: &mut [u8]) {
        let [across, down] = self.pixels;
        let near = self.row(y / down);
        // Less than three samples are repeated.
        let is_smooth = across == 1 || self.width > 2;
        let far = || {
            let row = y / down;
            self.row(if y.is_multiple_of(2) { row.saturating_sub(1) } else { (row + 1).min(self.height - 1) })
        };
        match (across, down) {
            (1, 2) => {
                let bias = if y.is_multiple_of(2) { 1 } else { 2 };
                let mixed =
                    near.iter().zip(far()).map(|(&near, &far)| (3 * u16::from(near) + u16::from(far) + bias) >> 2);
                pixels.iter_mut().zip(mixed).for_each(|(pixel, mixed)| *pixel = mixed as u8);
            }
            (2, 1) if is_smooth => {
                let at = |place: usize| u16::from(near[place]);
                spread(pixels, self.width, at, 2, [1, 2]);
            }
            (2, 2) if is_smooth => {
                let far = far();
                let at = |place: usize| 3 * u16::from(near[place]) + u16::from(far[place]);
                spread(pixels, self.width, at, 4, [8, 7]);
            }
            _ => {
                let samples = near.iter().flat_map(|&sample| std::iter::repeat_n(sample, across));
                pixels.iter_mut().zip(samples).for_each(|(pixel, sample)| *pixel = sample);
            }
        }
    }
}

/// Two pixels from each sample: three parts of its own and one of the nearer neighbour, of which those at the edges have
/// themselves; `bits` are divided off, after a bias for the left and the right one.
fn spread(pixels: &mut [u8], width: usize, at: impl Fn(usize) -> u16, bits: u32, bias: [u16; 2]) {
    for (place, pair) in pixels.chunks_mut(2).enumerate() {
        let own = at(place);
        let neighbours = [place.saturating_sub(1), (place + 1).min(width - 1)];
        for ((pixel, neighbour), bias) in pair.iter_mut().zip(neighbours).zip(bias) {
            *pixel = ((3 * own + at(neighbour) + bias) >> bits) as u8;
        }
    }
}

/// RGB of planes of grey, of RGB, or of luma and chroma.
pub(super) fn pixels(frame: &Frame, planes: &[Plane], is_rgb: bool) -> Vec<u8> {
    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    let mut pixels = Vec::with_capacity(width * height * 3);
    let mut rows: Vec<Vec<u8>> = planes.iter().map(|_| vec![0; width]).collect();
    for y in 0..height {
        for (plane, row) in planes.iter().zip(&mut rows) {
            plane.fill(y, row);
        }
        match &rows[..] {
            [first, second, third] => {
                let triples = first.iter().zip(second).zip(third).map(|((&one, &two), &three)| [one, two, three]);
                pixels.extend(triples.flat_map(|triple| if is_rgb { triple } else { from_luma_and_chroma(triple) }));
            }
            rows => pixels.extend(rows.iter().take(1).flatten().flat_map(|&grey| [grey; 3])),
        }
    }
    pixels
}

/// JFIF's conversion, in libjpeg's whole numbers.
fn from_luma_and_chroma([luma, blue, red]: [u8; 3]) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (luma, blue, red) = (i32::from(luma), i32::from(blue) - 128, i32::from(red) - 128);
    let level = |part: i32| (luma + (part >> 16)).clamp(0, 255) as u8;
    [level(91881 * red + HALF), level(-22554 * blue - 46802 * red + HALF), level(116_130 * blue + HALF)]
}
