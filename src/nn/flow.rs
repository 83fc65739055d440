//! Rows of a map on their way through several units at once, so that the maps between them never exist: what a unit
//! makes is in cache when the next one reads it.

use std::ops::Range;

use candle_nn::VarBuilder;

use super::{
    kernels::{Buffer, Depthwise3x3, Fuse, Isa, Map, Product, Rows, padded},
    layers::{Act, Loaded, depthwise, pointwise},
};

/// A 1×1 convolution, then a depthwise 3×3 with stride 1.
#[derive(Debug)]
pub(super) struct Unit {
    pointwise: Product,
    depthwise: Depthwise3x3,
}

impl Unit {
    /// From `pointwise` and `depthwise` in `vb`.
    pub(super) fn load(isa: Isa, inputs: usize, outputs: usize, act: Act, vb: &VarBuilder<'_>) -> Loaded<Self> {
        Ok(Self {
            pointwise: pointwise(isa, inputs, outputs, Act::Identity, &vb.pp("pointwise"))?,
            depthwise: depthwise(isa, outputs, 1, act, &vb.pp("depthwise"))?,
        })
    }

    /// Channels that come out.
    pub(super) const fn outputs(&self) -> usize {
        self.pointwise.outputs()
    }
}

/// A unit in a [`Flow`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// The unit alone.
    Plain(&'a Unit),
    /// The unit and a 2×2 max pooling, for maps of even sides.
    Pooled(&'a Unit),
}

/// Units in a row. Each keeps the few rows that its window needs.
pub(super) struct Flow<'a, const N: usize> {
    stages: [Stage<'a>; N],
}

impl<'a, const N: usize> Flow<'a, N> {
    /// For a map of `height`×`width`.
    pub(super) fn new((height, width): (usize, usize), steps: [Step<'a>; N]) -> Self {
        const { assert!(N > 0, "a flow goes through something") };
        let mut size = (height, width);
        let stages = steps.map(|step| {
            let stage = Stage::new(size, step);
            size = stage.output_size();
            stage
        });
        Self { stages }
    }

    /// Runs a map through. `fill` writes its row `y`, pixels as far apart as the first unit's padded inputs; `output`
    /// gets the pixels that come out.
    pub(super) fn run(mut self, mut fill: impl FnMut(usize, &mut [f32]), output: &mut [f32]) {
        let Stage { height, width, unit, .. } = self.stages[0];
        let mut row = Buffer::take(width * padded(unit.pointwise.inputs()));
        for y in 0..height {
            fill(y, &mut row);
            pass_on(&mut self.stages, &row, output);
        }
    }

    /// As [`Self::run`], into a new map.
    pub(super) fn run_to_map(self, fill: impl FnMut(usize, &mut [f32])) -> Map {
        let last = &self.stages[N - 1];
        let (height, width) = last.output_size();
        let mut map = Map::new(height, width, last.unit.outputs());
        self.run(fill, map.pixels_mut());
        map
    }
}

/// Gives a row to the first stage, what that makes of it to the next, and so on; the last one writes to `output`.
fn pass_on(stages: &mut [Stage<'_>], row: &[f32], output: &mut [f32]) {
    match stages {
        [] => {}
        [last] => {
            last.take(row);
            while let Some(rows) = last.ready() {
                let pitch = last.out_pitch();
                last.make(rows.clone(), &mut output[rows.start * pitch..rows.end * pitch]);
            }
        }
        [stage, rest @ ..] => {
            stage.take(row);
            while let Some(rows) = stage.ready() {
                let pitch = stage.out_pitch();
                let mut made = Buffer::take(rows.len() * pitch);
                stage.make(rows, &mut made);
                made.chunks_exact(pitch).for_each(|row| pass_on(rest, row, output));
            }
        }
    }
}

/// Rows in a stage's ring: what two outputs, one above the other, look at.
const RING: usize = 4;

struct Stage<'a> {
    unit: &'a Unit,
    is_pooled: bool,
    height: usize,
    width: usize,
    /// The depthwise layer's input: the map's last rows, between two rows of zeros.
    ring: Buffer,
    /// Rows in the ring so far, without the first of zeros.
    taken: usize,
    /// Rows that came out so far.
    made: usize,
}

impl<'a> Stage<'a> {
    fn new((height, width): (usize, usize), step: Step<'a>) -> Self {
        let (unit, is_pooled) = match step {
            Step::Plain(unit) => (unit, false),
            Step::Pooled(unit) => (unit, true),
        };
        let pitch = width * padded(unit.outputs());
        let mut ring = Buffer::take(RING * pitch);
        ring[..pitch].fill(0.0);
        Self { unit, is_pooled, height, width, ring, taken: 0, made: 0 }
    }

    fn output_size(&self) -> (usize, usize) {
        if self.is_pooled { (self.height / 2, self.width / 2) } else { (self.height, self.width) }
    }

    fn pitch(&self) -> usize {
        self.width * padded(self.unit.outputs())
    }

    fn out_pitch(&self) -> usize {
        if self.is_pooled { self.pitch() / 2 } else { self.pitch() }
    }

    /// Takes the map's next row.
    fn take(&mut self, row: &[f32]) {
        let product = &self.unit.pointwise;
        let pixels = Rows::pixels(row, padded(product.inputs()), product.inputs());
        let slot = ring_row(self.taken + 1, self.pitch());
        product.run(pixels, self.width, &mut self.ring[slot], padded(product.outputs()), Fuse::Store);
        self.taken += 1;
    }

    /// The rows that can be made next, if any: two at a time (which pooling makes one), and the last of an odd height
    /// alone.
    fn ready(&self) -> Option<Range<usize>> {
        if self.is_pooled {
            let needed = (2 * self.made + 3).min(self.height);
            return (self.made < self.height / 2 && self.taken >= needed).then(|| self.made..self.made + 1);
        }
        let together = 2.min(self.height - self.made);
        let needed = (self.made + together + 1).min(self.height);
        (together > 0 && self.taken >= needed).then(|| self.made..self.made + together)
    }

    /// Makes what [`Self::ready`] said.
    fn make(&mut self, rows: Range<usize>, out: &mut [f32]) {
        let (pitch, depthwise) = (self.pitch(), &self.unit.depthwise);
        // Output row y looks at the rows at positions y to y + 2.
        let top = if self.is_pooled { 2 * rows.start } else { rows.start };
        let below_map = self.height + 1;
        if (top..top + 4).contains(&below_map) {
            self.ring[ring_row(below_map, pitch)].fill(0.0);
        }
        let in_ring = |position| &self.ring[ring_row(position, pitch)];
        if self.is_pooled {
            depthwise.run_pair_pooled([top, top + 1, top + 2, top + 3].map(in_ring), self.width, out);
        } else if rows.len() == 2 {
            depthwise.run_pair([top, top + 1, top + 2, top + 3].map(in_ring), self.width, out);
        } else {
            depthwise.run_row([top, top + 1, top + 2].map(|position| Some(in_ring(position))), self.width, out);
        }
        self.made = rows.end;
    }
}

/// Where a row of `pitch` numbers lies in a ring; position 0 is the row of zeros above the map.
const fn ring_row(position: usize, pitch: usize) -> Range<usize> {
    let start = position % RING * pitch;
    start..start + pitch
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kernels::{Activation, MaxPool};

    fn ramp(len: usize, scale: f32) -> Vec<f32> {
        (0..len).map(|i| ((i * 37 + 11) % 101) as f32 * scale - 0.5).collect()
    }

    fn unit(inputs: usize, outputs: usize) -> Unit {
        let (product, window) = (ramp(inputs * outputs, 0.005), ramp(9 * outputs, 0.01));
        Unit {
            pointwise: Product::new(Isa::PORTABLE, &product, &ramp(outputs, 0.1), Activation::Identity),
            depthwise: Depthwise3x3::new(Isa::PORTABLE, &window, &ramp(outputs, 0.1), Activation::Relu, 1),
        }
    }

    /// The unit on a whole map, layer by layer.
    fn whole(unit: &Unit, input: &Map) -> Map {
        let mut between = Map::new(input.height, input.width, unit.outputs());
        let pixels = Rows::pixels(input.pixels(), input.stride(), unit.pointwise.inputs());
        let stride = between.stride();
        unit.pointwise.run(pixels, input.height * input.width, between.pixels_mut(), stride, Fuse::Store);
        let mut output = Map::new(input.height, input.width, unit.outputs());
        for y in 0..input.height {
            let at = |y: usize| (y < input.height).then(|| between.rows(y..y + 1));
            let window = [y.checked_sub(1).and_then(at), at(y), at(y + 1)];
            unit.depthwise.run_row(window, input.width, output.rows_mut(y..y + 1));
        }
        output
    }

    fn pooled(map: &Map) -> Map {
        let pool = MaxPool::new(Isa::PORTABLE, 2);
        let mut output = Map::new(map.height / 2, map.width / 2, map.channels);
        let stride = map.stride();
        for y in 0..output.height {
            pool.run_row(map.rows(2 * y..2 * y + 2), map.width, stride, output.rows_mut(y..y + 1));
        }
        output
    }

    proptest! {
        #[test]
        fn rows_that_flow_come_to_what_whole_maps_come_to(
            height in 1usize..12, width in 1usize..12, pools in prop::array::uniform3(any::<bool>()),
        ) {
            let units = [unit(5, 20), unit(20, 7), unit(7, 16)];
            // Each pooling halves both sides.
            let scale = 1 << pools.iter().filter(|pool| **pool).count();
            let (height, width) = (height * scale, width * scale);
            let mut input = Map::new(height, width, 5);
            let values = ramp(input.pixels().len(), 0.02);
            input.pixels_mut().copy_from_slice(&values);
            let mut steps = units.each_ref().map(Step::Plain);
            for (step, (unit, pool)) in steps.iter_mut().zip(units.iter().zip(pools)) {
                *step = if pool { Step::Pooled(unit) } else { Step::Plain(unit) };
            }
            let found = Flow::new((height, width), steps)
                .run_to_map(|y, row| row.copy_from_slice(input.rows(y..y + 1)));
            let expected = units.iter().zip(pools).fold(input, |map, (unit, pool)| {
                let map = whole(unit, &map);
                if pool { pooled(&map) } else { map }
            });
            prop_assert_eq!((found.height, found.width, found.channels), (expected.height, expected.width, 16));
            for (found, expected) in found.pixels().iter().zip(expected.pixels()) {
                prop_assert!((found - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{} {}", found, expected);
            }
        }
    }
}
