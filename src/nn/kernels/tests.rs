//! Every kernel on every instruction set that this processor has, against a plain loop over the definition; what it reads
//! and writes is fenced in.

use proptest::prelude::*;
use testing::Fenced;

use super::*;

/// Numbers in -1..1 that look random.
fn noise(len: usize, seed: u32) -> Fenced<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Pixels of `channels`, stored padded with numbers that must not matter.
fn pixels(count: usize, channels: usize, seed: u32) -> Fenced<f32> {
    noise(count * padded(channels), seed)
}

fn activation(kind: usize, channels: usize) -> (Activation, impl Fn(f32, usize) -> f32) {
    let slopes = noise(channels, 99);
    let made = match kind {
        0 => Activation::Identity,
        1 => Activation::Relu,
        _ => Activation::prelu(&slopes),
    };
    (made, move |value: f32, channel: usize| match kind {
        0 => value,
        1 => value.max(0.0),
        _ if value < 0.0 => value * slopes[channel],
        _ => value,
    })
}

fn assert_close(isa: Isa, found: f32, expected: f32) -> Result<(), TestCaseError> {
    prop_assert!((found - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{}: {found}, not {expected}", isa.name());
    Ok(())
}

proptest! {
    #![proptest_config(testing::cases(48))]

    #[test]
    fn product_with_every_epilogue(
        count in 1usize..70, inputs in 1usize..80, outputs in 1usize..120, act in 0usize..3, fuse in 0usize..3, seed: u32,
    ) {
        let (weight, bias) = (noise(inputs * outputs, seed), noise(outputs, seed ^ 1));
        let input = pixels(count, inputs, seed ^ 2);
        let other = pixels(count, outputs, seed ^ 3);
        let wide = if fuse == 2 { 2 * outputs } else { outputs };
        for isa in Isa::available() {
            let (made, apply) = activation(act, outputs);
            let product = Product::new(isa, &weight, &bias, made);
            let mut out = Fenced::filled(f32::NAN, count * padded(wide));
            let fused = match fuse {
                0 => Fuse::Store,
                1 => Fuse::Add(&other),
                _ => Fuse::Interleave(&other, padded(outputs)),
            };
            product.run(Rows::pixels(&input, padded(inputs), inputs), count, &mut out, padded(wide), fused);
            for pixel in 0..count {
                for output in 0..outputs {
                    let sum = (0..inputs)
                        .map(|i| f64::from(input[pixel * padded(inputs) + i]) * f64::from(weight[i * outputs + output]))
                        .sum::<f64>();
                    let y = apply(sum as f32 + bias[output], output);
                    let given = other[pixel * padded(outputs) + output];
                    let row = &out[pixel * padded(wide)..][..padded(wide)];
                    match fuse {
                        0 => assert_close(isa, row[output], y)?,
                        1 => assert_close(isa, row[output], y + given)?,
                        _ => {
                            assert_close(isa, row[2 * output], given)?;
                            assert_close(isa, row[2 * output + 1], y)?;
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn two_rows_of_depthwise_3x3_at_once(
        width in 1usize..40, channels in 1usize..40, act in 0usize..3, seed: u32,
    ) {
        let (weight, bias) = (noise(9 * channels, seed), noise(channels, seed ^ 1));
        let map = pixels(4 * width, channels, seed ^ 2);
        let pitch = width * padded(channels);
        let rows = [0, 1, 2, 3].map(|y| &map[y * pitch..(y + 1) * pitch]);
        for isa in Isa::available() {
            let layer = Depthwise3x3::new(isa, &weight, &bias, activation(act, channels).0, 1);
            let mut expected = Fenced::filled(f32::NAN, 2 * pitch);
            let (upper, lower) = expected.split_at_mut(pitch);
            layer.run_row([Some(rows[0]), Some(rows[1]), Some(rows[2])], width, upper);
            layer.run_row([Some(rows[1]), Some(rows[2]), Some(rows[3])], width, lower);
            let mut pair = Fenced::filled(f32::NAN, 2 * pitch);
            layer.run_pair(rows, width, &mut pair);
            for (at, (found, expected)) in pair.iter().zip(expected.iter()).enumerate() {
                if at % padded(channels) < channels {
                    assert_close(isa, *found, *expected)?;
                }
            }
            if width % 2 == 0 {
                let mut pooled = Fenced::filled(f32::NAN, pitch / 2);
                layer.run_pair_pooled(rows, width, &mut pooled);
                let at = |y: usize, x: usize, channel: usize| expected[y * pitch + x * padded(channels) + channel];
                for (x, channel) in (0..width / 2).flat_map(|x| (0..channels).map(move |channel| (x, channel))) {
                    let largest = [(0, 0), (0, 1), (1, 0), (1, 1)]
                        .map(|(y, right)| at(y, 2 * x + right, channel))
                        .into_iter()
                        .fold(f32::NEG_INFINITY, f32::max);
                    assert_close(isa, pooled[x * padded(channels) + channel], largest)?;
                }
            }
        }
    }

    #[test]
    fn product_of_pairs_is_the_product_of_rounded_numbers(
        count in 1usize..130, half in 1usize..40, outputs in 1usize..120, act in 0usize..3, adds: bool, seed: u32,
    ) {
        let Some(isa) = Isa::available()[0].with_bf16_products() else { return Ok(()) };
        let inputs = 2 * half;
        let (weight, bias) = (noise(inputs * outputs, seed), noise(outputs, seed ^ 1));
        let (input, residual) = (pixels(count, inputs, seed ^ 2), pixels(count, outputs, seed ^ 3));
        let (made, apply) = activation(act, outputs);
        let mut out = Fenced::filled(f32::NAN, count * padded(outputs));
        let fuse = if adds { Fuse::Add(&residual) } else { Fuse::Store };
        Product::new(isa, &weight, &bias, made)
            .run(Rows::pixels(&input, padded(inputs), inputs), count, &mut out, padded(outputs), fuse);
        let rounded = |value: f32| f64::from(f32::from_bits(pairs::pair(value, 0.0).to_bits() << 16));
        for (pixel, output) in (0..count).flat_map(|pixel| (0..outputs).map(move |output| (pixel, output))) {
            let term = |i: usize| rounded(input[pixel * padded(inputs) + i]) * rounded(weight[i * outputs + output]);
            let y = apply((0..inputs).map(term).sum::<f64>() as f32 + bias[output], output);
            let at = pixel * padded(outputs) + output;
            assert_close(isa, out[at], if adds { y + residual[at] } else { y })?;
        }
    }

    #[test]
    fn depthwise_3x3_of_every_stride(
        height in 1usize..9, width in 1usize..20, channels in 1usize..40, stride in 1usize..3, act in 0usize..3, seed: u32,
    ) {
        let (weight, bias) = (noise(9 * channels, seed), noise(channels, seed ^ 1));
        let map = pixels(height * width, channels, seed ^ 2);
        let pitch = width * padded(channels);
        for isa in Isa::available() {
            let (made, apply) = activation(act, channels);
            let layer = Depthwise3x3::new(isa, &weight, &bias, made, stride);
            let mut out = Fenced::filled(f32::NAN, layer.out_size(width) * padded(channels));
            for row in 0..layer.out_size(height) {
                let at = |y: usize| (y < height).then(|| &map[y * pitch..(y + 1) * pitch]);
                let centre = row * stride;
                layer.run_row([centre.checked_sub(1).and_then(at), at(centre), at(centre + 1)], width, &mut out);
                for column in 0..layer.out_size(width) {
                    for channel in 0..channels {
                        let mut sum = bias[channel];
                        for (y, x) in (0..3).flat_map(|y| (0..3).map(move |x| (y, x))) {
                            let (iy, ix) = ((centre + y).wrapping_sub(1), (column * stride + x).wrapping_sub(1));
                            if iy < height && ix < width {
                                let value = map[iy * pitch + ix * padded(channels) + channel];
                                sum += value * weight[(y * 3 + x) * channels + channel];
                            }
                        }
                        assert_close(isa, out[column * padded(channels) + channel], apply(sum, channel))?;
                    }
                }
            }
        }
    }

    #[test]
    fn depthwise_over_the_whole_map(size in 1usize..9, channels in 1usize..50, seed: u32) {
        let (weight, bias) = (noise(size * size * channels, seed), noise(channels, seed ^ 1));
        let map = pixels(size * size, channels, seed ^ 2);
        for isa in Isa::available() {
            let layer = DepthwiseGlobal::new(isa, &weight, &bias);
            let mut out = Fenced::filled(f32::NAN, padded(channels));
            layer.run(&map, &mut out);
            for channel in 0..channels {
                let tap = |i: usize| map[i * padded(channels) + channel] * weight[i * channels + channel];
                assert_close(isa, out[channel], bias[channel] + (0..size * size).map(tap).sum::<f32>())?;
            }
        }
    }

    #[test]
    fn max_pool_of_both_sizes(height in 3usize..9, width in 3usize..20, channels in 1usize..40, size in 2usize..4, seed: u32) {
        let map = pixels(height * width, channels, seed);
        let (stride, padding) = (padded(channels), (size - 1) / 2);
        for isa in Isa::available() {
            let pool = MaxPool::new(isa, size);
            let mut out = Fenced::filled(f32::NAN, pool.out_size(width) * stride);
            for row in 0..pool.out_size(height) {
                let window = pool.window(row, height);
                pool.run_row(&map[window.start * width * stride..window.end * width * stride], width, stride, &mut out);
                for (column, channel) in (0..pool.out_size(width)).flat_map(|x| (0..channels).map(move |c| (x, c))) {
                    let mut largest = f32::NEG_INFINITY;
                    for (y, x) in (0..size).flat_map(|y| (0..size).map(move |x| (y, x))) {
                        let (iy, ix) = ((2 * row + y).wrapping_sub(padding), (2 * column + x).wrapping_sub(padding));
                        if iy < height && ix < width {
                            largest = largest.max(map[(iy * width + ix) * stride + channel]);
                        }
                    }
                    assert_close(isa, out[column * stride + channel], largest)?;
                }
            }
        }
    }

    #[test]
    fn passes_over_whole_maps(height in 1usize..7, width in 1usize..7, channels in 1usize..40, seed: u32) {
        let filled = |height, width, seed| {
            let mut map = Map::new(height, width, channels);
            let values = noise(map.pixels().len(), seed);
            map.pixels_mut().copy_from_slice(&values);
            map
        };
        let (coarse, gate) = (filled(height, width, seed ^ 1), noise(padded(channels), seed ^ 2));
        for isa in Isa::available() {
            let before = filled(2 * height, 2 * width, seed);
            let mut doubled = Fenced::filled(f32::NAN, before.pixels().len());
            for (y, row) in doubled.chunks_exact_mut(2 * width * padded(channels)).enumerate() {
                elementwise::add_doubled(isa, (&before, &coarse), y, row);
            }
            let mut gated = filled(2 * height, 2 * width, seed);
            elementwise::gate_add(isa, &mut gated, &gate, &before);
            let mut means = Fenced::filled(f32::NAN, padded(channels));
            elementwise::mean(isa, &before, &mut means);
            for channel in 0..channels {
                let mut sum = 0.0;
                for (y, x) in (0..2 * height).flat_map(|y| (0..2 * width).map(move |x| (y, x))) {
                    let at = (y * 2 * width + x) * padded(channels) + channel;
                    let value = before.pixels()[at];
                    let below = coarse.pixels()[(y / 2 * width + x / 2) * padded(channels) + channel];
                    assert_close(isa, doubled[at], value + below)?;
                    assert_close(isa, gated.pixels()[at], value * gate[channel] + value)?;
                    sum += value;
                }
                assert_close(isa, means[channel], sum / (4 * height * width) as f32)?;
            }
        }
    }
}

/// `make sanitize` asks here: under valgrind a processor has less than the system says.
#[test]
fn says_what_it_runs_on() {
    let available = Isa::available();
    let with_pairs = available.iter().filter_map(|isa| isa.with_bf16_products());
    let names: Vec<_> = available.iter().copied().chain(with_pairs).map(Isa::name).collect();
    println!("instruction sets: {}", names.join(" "));
    assert_eq!(available.last(), Some(&Isa::PORTABLE));
}

/// What kernels read and write by pointers alone rests on these: each must hold whoever calls.
#[test]
fn shapes_that_would_reach_outside_are_refused() {
    fn refused(what: &str, call: impl FnOnce()) {
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err(), "{what}");
    }
    for isa in Isa::available() {
        let zeros = vec![0.0; 4096];
        let mut out = zeros.clone();

        let depthwise = Depthwise3x3::new(isa, &zeros[..9 * 16], &zeros[..16], Activation::Identity, 1);
        refused("no row under the window", || depthwise.run_row([None; 3], 4, &mut out));
        refused("a width that wraps around", || depthwise.run_row([Some(&zeros), None, None], 1 << 60, &mut out));
        refused("a short row", || depthwise.run_row([Some(&zeros[..63]), None, None], 4, &mut out));
        refused("a short output", || depthwise.run_row([Some(&zeros), None, None], 4, &mut [0.0; 63]));

        let pool = MaxPool::new(isa, 2);
        refused("a width that wraps around", || pool.run_row(&zeros, (1 << 60) + 256, 16, &mut out));
        refused("pixels of half a vector", || pool.run_row(&zeros[..2 * 4 * 8], 4, 8, &mut out));
        refused("a window wider than its rows", || pool.run_row(&zeros[..2 * 16], 1, 16, &mut out));
        refused("part of a row", || pool.run_row(&zeros[..100], 4, 16, &mut out));

        let product = Product::new(isa, &zeros[..32 * 16], &zeros[..16], Activation::Identity);
        let input = Rows::pixels(&zeros, 32, 32);
        refused("no stretches", || {
            let none = Rows { runs: 0, run_len: 0, skipped: 32, ..input };
            product.run(none, 1, &mut out, 16, Fuse::Store);
        });
        refused("stretches that wrap around", || {
            let many = Rows { runs: (1 << 59) + 1, run_stride: 32, ..input };
            product.run(many, 1, &mut out, 16, Fuse::Store);
        });
        refused("pixels that wrap around", || {
            product.run(Rows { stride: 1 << 60, ..input }, 17, &mut out, 16, Fuse::Store);
        });
        refused("half a vector of what is interleaved", || {
            product.run(input, 2, &mut out, 24, Fuse::Interleave(&zeros, 16));
        });
        refused("a short left side", || product.run(input, 2, &mut out, 32, Fuse::Interleave(&zeros[..31], 16)));
        refused("a short residual", || product.run(input, 2, &mut out, 16, Fuse::Add(&zeros[..31])));
        refused("a short input", || product.run(Rows::pixels(&zeros[..63], 32, 32), 2, &mut out, 16, Fuse::Store));
    }
}
