//! The layers that the architectures share. Each mirrors its names in the weight file, checks shapes at load and
//! works on scratch maps; a map's padding channels never matter.
//!
//! Weights are stored ready for NHWC: 1×1 convolutions and linear layers as `[inputs, outputs]`, depthwise windows
//! as `[height, width, channels]`, the dense 3×3 as `[3, 3, inputs, outputs]`.

use std::ops::Range;

use candle_nn::VarBuilder;

use super::kernels::{
    Activation, Buffer, Depthwise3x3, DepthwiseGlobal, Fuse, Isa, Map, Product, Rows, elementwise, padded,
};

/// candle's result, inside the architectures.
pub(super) type Loaded<T> = candle_core::Result<T>;

/// Which activation a layer's weights bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// None.
    Identity,
    /// `ReLU`, without weights.
    Relu,
    /// PReLU, with a tensor `slope`.
    PRelu,
}

impl Act {
    fn load(self, channels: usize, vb: &VarBuilder<'_>) -> Loaded<Activation> {
        Ok(match self {
            Self::Identity => Activation::Identity,
            Self::Relu => Activation::Relu,
            Self::PRelu => Activation::prelu(&values(vb, &[channels], "slope")?),
        })
    }
}

/// What a weight must reach to count. Training leaves dead channels with weights of 1e-30 and less. Beside sums of
/// about 1 nothing feels them, but their products are subnormal numbers, for each of which some processors (Intel's) take a
/// hundred cycles: a face took 57 ms there instead of 5.
const LEAST_WEIGHT: f32 = 1e-20;

/// The numbers of a tensor, without those that are nothing but slow.
fn values(vb: &VarBuilder<'_>, shape: &[usize], name: &str) -> Loaded<Vec<f32>> {
    let mut values: Vec<f32> = vb.get(shape, name)?.flatten_all()?.to_vec1()?;
    for value in values.iter_mut().filter(|value| value.abs() < LEAST_WEIGHT) {
        *value = 0.0;
    }
    Ok(values)
}

/// A 1×1 convolution or linear layer, with its activation.
pub(super) fn pointwise(isa: Isa, inputs: usize, outputs: usize, act: Act, vb: &VarBuilder<'_>) -> Loaded<Product> {
    let weight = values(vb, &[inputs, outputs], "weight")?;
    let bias = values(vb, &[outputs], "bias")?;
    Ok(Product::new(isa, &weight, &bias, act.load(outputs, vb)?))
}

/// A depthwise 3×3 convolution with padding 1, with its activation.
pub(super) fn depthwise(
    isa: Isa,
    channels: usize,
    stride: usize,
    act: Act,
    vb: &VarBuilder<'_>,
) -> Loaded<Depthwise3x3> {
    let weight = values(vb, &[3, 3, channels], "weight")?;
    let bias = values(vb, &[channels], "bias")?;
    Ok(Depthwise3x3::new(isa, &weight, &bias, act.load(channels, vb)?, stride))
}

/// A depthwise convolution over the whole `size`×`size` map.
pub(super) fn depthwise_global(isa: Isa, size: usize, channels: usize, vb: &VarBuilder<'_>) -> Loaded<DepthwiseGlobal> {
    let weight = values(vb, &[size, size, channels], "weight")?;
    Ok(DepthwiseGlobal::new(isa, &weight, &values(vb, &[channels], "bias")?))
}

/// An image as a network gets it: `[height, width, 3]`, not padded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Image<'a> {
    /// Rows; even.
    pub(super) height: usize,
    /// Columns; even.
    pub(super) width: usize,
    /// The pixels.
    pub(super) data: &'a [f32],
}

/// Images one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) struct Images<'a> {
    /// How many.
    pub(super) count: usize,
    /// Rows of each; even.
    pub(super) height: usize,
    /// Columns of each; even.
    pub(super) width: usize,
    /// The pixels of all.
    pub(super) data: &'a [f32],
}

impl<'a> Images<'a> {
    /// Each image.
    pub(super) fn iter(&self) -> impl Iterator<Item = Image<'a>> + use<'a> {
        let (height, width) = (self.height, self.width);
        self.data.chunks_exact(height * width * COLOURS).map(move |data| Image { height, width, data })
    }
}

/// Channels of an image.
const COLOURS: usize = 3;

/// The first layer of every network: a dense 3×3 convolution with stride 2 and padding 1 on an image of even sides.
#[derive(Debug)]
pub(super) struct Stem(Product);

impl Stem {
    /// From `weight` `[3, 3, 3, outputs]` and `bias`.
    pub(super) fn load(isa: Isa, outputs: usize, act: Act, vb: &VarBuilder<'_>) -> Loaded<Self> {
        let weight = values(vb, &[3, 3, COLOURS, outputs], "weight")?;
        let bias = values(vb, &[outputs], "bias")?;
        Ok(Self(Product::new(isa, &weight, &bias, act.load(outputs, vb)?)))
    }

    /// Channels that come out.
    pub(super) const fn outputs(&self) -> usize {
        self.0.outputs()
    }

    /// Output rows `rows` into `out`. Windows are read where they lie in the image; with even sides only the first
    /// row and the first column reach outside.
    pub(super) fn run_rows(&self, image: Image<'_>, rows: Range<usize>, out: &mut [f32]) {
        let (pitch, stride) = (image.width * COLOURS, padded(self.outputs()));
        for (row, out) in rows.zip(out.chunks_exact_mut(image.width / 2 * stride)) {
            let skipped_runs = usize::from(row == 0);
            let top = (2 * row + skipped_runs - 1) * pitch;
            let runs = 3 - skipped_runs;
            let mut corner = [0.0; 9 * COLOURS];
            for run in 0..runs {
                let from = &image.data[top + run * pitch..][..2 * COLOURS];
                corner[(run * 3 + 1) * COLOURS..][..2 * COLOURS].copy_from_slice(from);
            }
            let window = |data, run_stride| Rows {
                data,
                stride: 2 * COLOURS,
                runs,
                run_len: 3 * COLOURS,
                run_stride,
                skipped: skipped_runs * 3 * COLOURS,
            };
            let (first, rest) = out.split_at_mut(stride);
            self.0.run(window(&corner, 3 * COLOURS), 1, first, stride, Fuse::Store);
            self.0.run(window(&image.data[top + COLOURS..], pitch), image.width / 2 - 1, rest, stride, Fuse::Store);
        }
    }
}

/// The strips in which a depthwise layer's input is made, so that it is still in cache when it is used.
#[derive(Debug, Clone, Copy)]
struct Strips {
    /// Rows made at once.
    rows: usize,
    /// Rows kept: the ring in which strips lie one after another.
    ring: usize,
}

impl Strips {
    /// Pixels worth making at once: four register tiles of the product.
    const PIXELS: usize = 56;

    /// For a map of `height`×`width`.
    fn new(height: usize, width: usize) -> Self {
        let rows = Self::PIXELS.div_ceil(width).min(height);
        // The rows of a window that reaches back over the strip's first row.
        let ring = (rows + 2).next_multiple_of(rows);
        if ring >= height { Self { rows: height, ring: height } } else { Self { rows, ring } }
    }
}

/// Runs a depthwise layer over a map that is never whole in memory: `produce` makes rows of its input,
/// `consume` takes rows of its output, in order.
pub(super) fn depthwise_rows(
    layer: &Depthwise3x3,
    (height, width): (usize, usize),
    produce: impl FnMut(Range<usize>, &mut [f32]),
    mut consume: impl FnMut(Range<usize>, &[f32]),
) {
    let strips = Strips::new(height, width);
    let pitch = layer.out_size(width) * padded(layer.channels());
    let mut out = Buffer::take((strips.ring.div_ceil(layer.stride()) + 1) * pitch);
    depthwise_strips(layer, (height, width), strips, produce, |rows, make_row| {
        for (row, out) in rows.clone().zip(out.chunks_exact_mut(pitch)) {
            make_row(row, out);
        }
        consume(rows.clone(), &out[..rows.len() * pitch]);
    });
}

/// As [`depthwise_rows`], straight into a whole output map.
pub(super) fn depthwise_map(
    layer: &Depthwise3x3,
    (height, width): (usize, usize),
    produce: impl FnMut(Range<usize>, &mut [f32]),
    output: &mut [f32],
) {
    let strips = Strips::new(height, width);
    let pitch = layer.out_size(width) * padded(layer.channels());
    depthwise_strips(layer, (height, width), strips, produce, |rows, make_row| {
        for row in rows {
            make_row(row, &mut output[row * pitch..(row + 1) * pitch]);
        }
    });
}

/// Produces strips into a ring, and after each tells `emit` which output rows can be made, and how.
fn depthwise_strips(
    layer: &Depthwise3x3,
    (height, width): (usize, usize),
    strips: Strips,
    mut produce: impl FnMut(Range<usize>, &mut [f32]),
    mut emit: impl FnMut(Range<usize>, &dyn Fn(usize, &mut [f32])),
) {
    let pitch = width * padded(layer.channels());
    let mut ring = Buffer::take(strips.ring * pitch);
    let mut done = 0;
    for start in (0..height).step_by(strips.rows) {
        let made = (start + strips.rows).min(height);
        let slot = start % strips.ring;
        produce(start..made, &mut ring[slot * pitch..(slot + made - start) * pitch]);
        let ready = if made == height { layer.out_size(height) } else { (made - 1).div_ceil(layer.stride()) };
        if ready > done {
            let at = |row: usize| &ring[row % strips.ring * pitch..][..pitch];
            emit(done..ready, &|row, out| {
                let centre = row * layer.stride();
                let above = centre.checked_sub(1).map(at);
                let below = (centre + 1 < height).then(|| at(centre + 1));
                layer.run_row([above, Some(at(centre)), below], width, out);
            });
            done = ready;
        }
    }
}

/// Makes rows of a 1×1 convolution of `input`.
pub(super) fn pointwise_rows(layer: &Product, input: &Map, rows: Range<usize>, out: &mut [f32]) {
    let pixels = Rows::pixels(input.rows(rows.clone()), input.stride(), layer.inputs());
    layer.run(pixels, rows.len() * input.width, out, padded(layer.outputs()), Fuse::Store);
}

/// Squeeze-and-excite (Hu et al. 2018): a gate a channel, computed from the channels' means.
#[derive(Debug)]
pub(super) struct SqueezeExcite {
    isa: Isa,
    reduce: Product,
    expand: Product,
}

impl SqueezeExcite {
    /// A quarter of the channels in between.
    pub(super) fn load(isa: Isa, channels: usize, vb: &VarBuilder<'_>) -> Loaded<Self> {
        Ok(Self {
            isa,
            reduce: pointwise(isa, channels, channels / 4, Act::Relu, &vb.pp("reduce"))?,
            expand: pointwise(isa, channels / 4, channels, Act::Identity, &vb.pp("expand"))?,
        })
    }

    /// map = map · gate(map) + residual.
    fn run(&self, map: &mut Map, residual: &Map) {
        let stride = map.stride();
        let mut means = Buffer::take(stride);
        elementwise::mean(self.isa, map, &mut means);
        let mut squeezed = Buffer::take(padded(self.reduce.outputs()));
        let width = squeezed.len();
        self.reduce.run(Rows::pixels(&means, stride, self.reduce.inputs()), 1, &mut squeezed, width, Fuse::Store);
        let mut gate = means;
        self.expand.run(Rows::pixels(&squeezed, width, self.expand.inputs()), 1, &mut gate, stride, Fuse::Store);
        for value in gate.iter_mut() {
            *value = 1.0 / (1.0 + (-*value).exp());
        }
        elementwise::gate_add(self.isa, map, &gate, residual);
    }
}

/// Sizes of an [`InvertedResidual`].
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockShape {
    /// Channels in.
    pub(super) inputs: usize,
    /// Channels in between.
    pub(super) hidden: usize,
    /// Channels out; where the stride is 1 and they equal `inputs`, the input is added.
    pub(super) outputs: usize,
    /// Step of the depthwise convolution.
    pub(super) stride: usize,
    /// Whether squeeze-and-excite follows.
    pub(super) gated: bool,
}

/// `MobileNetV2`'s block (Sandler et al. 2018) with PReLU: 1×1 up, depthwise 3×3, 1×1 down, and the input added.
#[derive(Debug)]
pub(super) struct InvertedResidual {
    expand: Product,
    depthwise: Depthwise3x3,
    project: Product,
    squeeze_excite: Option<SqueezeExcite>,
    residual: bool,
}

impl InvertedResidual {
    /// From `expand`, `depthwise`, `project` and, where gated, `squeeze_excite`.
    pub(super) fn load(isa: Isa, shape: BlockShape, vb: &VarBuilder<'_>) -> Loaded<Self> {
        let BlockShape { inputs, hidden, outputs, stride, gated } = shape;
        Ok(Self {
            expand: pointwise(isa, inputs, hidden, Act::PRelu, &vb.pp("expand"))?,
            depthwise: depthwise(isa, hidden, stride, Act::PRelu, &vb.pp("depthwise"))?,
            project: pointwise(isa, hidden, outputs, Act::Identity, &vb.pp("project"))?,
            squeeze_excite: gated.then(|| SqueezeExcite::load(isa, outputs, &vb.pp("squeeze_excite"))).transpose()?,
            residual: stride == 1 && inputs == outputs,
        })
    }

    /// The block's output map.
    pub(super) fn forward(&self, input: &Map) -> Map {
        let (height, width) = (self.depthwise.out_size(input.height), self.depthwise.out_size(input.width));
        let mut output = Map::new(height, width, self.project.outputs());
        let stride = output.stride();
        depthwise_rows(
            &self.depthwise,
            (input.height, input.width),
            |rows, out| pointwise_rows(&self.expand, input, rows, out),
            |rows, hidden| {
                let plain = !self.residual || self.squeeze_excite.is_some();
                let fuse = if plain { Fuse::Store } else { Fuse::Add(input.rows(rows.clone())) };
                let pixels = Rows::pixels(hidden, padded(self.project.inputs()), self.project.inputs());
                self.project.run(pixels, rows.len() * width, output.rows_mut(rows), stride, fuse);
            },
        );
        if let Some(gate) = &self.squeeze_excite {
            gate.run(&mut output, input);
        }
        output
    }
}

/// The common beginning of the face networks: [`Stem`] and a depthwise 3×3, both with PReLU.
#[derive(Debug)]
pub(super) struct FaceStem {
    stem: Stem,
    depthwise: Depthwise3x3,
}

impl FaceStem {
    /// From `stem` and `stem_depthwise` in `vb`.
    pub(super) fn load(isa: Isa, outputs: usize, vb: &VarBuilder<'_>) -> Loaded<Self> {
        Ok(Self {
            stem: Stem::load(isa, outputs, Act::PRelu, &vb.pp("stem"))?,
            depthwise: depthwise(isa, outputs, 1, Act::PRelu, &vb.pp("stem_depthwise"))?,
        })
    }

    /// A map of half the image's sides.
    pub(super) fn forward(&self, image: Image<'_>) -> Map {
        let mut output = Map::new(image.height / 2, image.width / 2, self.stem.outputs());
        let size = (output.height, output.width);
        let produce = |rows, out: &mut [f32]| self.stem.run_rows(image, rows, out);
        depthwise_map(&self.depthwise, size, produce, output.pixels_mut());
        output
    }
}

/// A whole 1×1 convolution.
pub(super) fn pointwise_map(layer: &Product, input: &Map) -> Map {
    let mut output = Map::new(input.height, input.width, layer.outputs());
    pointwise_rows(layer, input, 0..input.height, output.pixels_mut());
    output
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};
    use proptest::prelude::*;

    use super::*;

    fn ramp(len: usize, scale: f32) -> Vec<f32> {
        (0..len).map(|i| ((i * 37 + 11) % 101) as f32 * scale - 0.5).collect()
    }

    #[test]
    fn weights_that_are_nothing_but_slow_are_zero() {
        let stored = [0.5, -1e-38, 1e-21, -1e-19, f32::MIN_POSITIVE / 2.0, 0.0];
        let tensor = Tensor::new(&stored, &Device::Cpu).unwrap();
        let vb = VarBuilder::from_tensors([("weight".into(), tensor)].into(), DType::F32, &Device::Cpu);
        assert_eq!(values(&vb, &[6], "weight").unwrap(), [0.5, 0.0, 0.0, -1e-19, 0.0, 0.0]);
    }

    proptest! {
        #[test]
        fn strips_give_what_the_whole_map_gives(
            height in 1usize..40, width in 1usize..40, stride in 1usize..3,
        ) {
            let channels = 5;
            let layer = Depthwise3x3::new(
                Isa::PORTABLE, &ramp(9 * channels, 0.01), &ramp(channels, 0.1), Activation::Relu, stride,
            );
            let pitch = width * padded(channels);
            let whole = ramp(height * pitch, 0.02);
            let mut expected = Vec::new();
            for row in 0..layer.out_size(height) {
                let at = |y: usize| (y < height).then(|| &whole[y * pitch..(y + 1) * pitch]);
                let mut out = vec![0.0; layer.out_size(width) * padded(channels)];
                let centre = row * stride;
                layer.run_row([centre.checked_sub(1).and_then(at), at(centre), at(centre + 1)], width, &mut out);
                expected.extend(out);
            }
            let (mut found, mut produced, mut consumed) = (Vec::new(), 0, 0);
            depthwise_rows(
                &layer,
                (height, width),
                |rows, out| {
                    assert_eq!(rows.start, produced);
                    produced = rows.end;
                    out.copy_from_slice(&whole[rows.start * pitch..rows.end * pitch]);
                },
                |rows, made| {
                    assert_eq!(rows.start, consumed);
                    consumed = rows.end;
                    found.extend_from_slice(made);
                },
            );
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn the_stem_reads_windows_where_they_lie(
            half_height in 1usize..8, half_width in 1usize..20, outputs in 1usize..40,
        ) {
            let (height, width) = (2 * half_height, 2 * half_width);
            let (weight, bias) = (ramp(27 * outputs, 0.01), ramp(outputs, 0.1));
            let data = ramp(height * width * COLOURS, 0.01);
            for isa in Isa::available() {
                let stem = Stem(Product::new(isa, &weight, &bias, Activation::Identity));
                let mut map = Map::new(half_height, half_width, outputs);
                stem.run_rows(Image { height, width, data: &data }, 0..half_height, map.pixels_mut());
                for (y, x, output) in (0..half_height)
                    .flat_map(|y| (0..half_width).map(move |x| (y, x)))
                    .flat_map(|(y, x)| (0..outputs).map(move |o| (y, x, o)))
                {
                    let mut sum = bias[output];
                    for (ky, kx, c) in (0..27).map(|tap| (tap / 9, tap / 3 % 3, tap % 3)) {
                        let (iy, ix) = ((2 * y + ky).wrapping_sub(1), (2 * x + kx).wrapping_sub(1));
                        if iy < height && ix < width {
                            sum += data[(iy * width + ix) * 3 + c] * weight[((ky * 3 + kx) * 3 + c) * outputs + output];
                        }
                    }
                    let found = map.pixels()[(y * half_width + x) * map.stride() + output];
                    prop_assert!((found - sum).abs() < 1e-4, "{} {found} {sum}", isa.name());
                }
            }
        }
    }
}
