//! The door between candle and the kernels: a network as one custom operation on an NHWC image tensor.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Shape, Tensor};

use super::{Yunet, layers::Images};
use error::{Error, Result};

/// A network seen as one operation from images to numbers.
pub(super) trait ImageNetwork: Sync {
    /// Shown in candle's messages.
    const NAME: &'static str;

    /// The images that it takes, `[N, height, width, 3]`; `None` where the network works on multiples of [`super::Yunet::MULTIPLE_PX`].
    const SIDE: Option<usize>;

    /// Shape of the output for an input shape that was checked.
    fn output_shape(&self, count: usize, height: usize, width: usize) -> Shape;

    /// Fills `output`, which has [`Self::output_shape`], from `images` in order.
    fn run(&self, images: Images<'_>, output: &mut [f32]);
}

struct Op<'a, N>(&'a N);

impl<N: ImageNetwork> CustomOp1 for Op<'_, N> {
    fn name(&self) -> &'static str {
        N::NAME
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (count, height, width, _) = layout.shape().dims4()?;
        let Some((start, end)) = layout.contiguous_offsets() else {
            candle_core::bail!("{}: the input is not contiguous", N::NAME);
        };
        let data = &storage.as_slice::<f32>()?[start..end];
        let shape = self.0.output_shape(count, height, width);
        let mut output = vec![0.0; shape.elem_count()];
        self.0.run(Images { count, height, width, data }, &mut output);
        Ok((CpuStorage::F32(output), shape))
    }
}

/// Runs `network` on `images`: NHWC, `f32`, on the CPU.
///
/// # Errors
/// `internal` when the tensor has another shape or type: its maker is part of this program.
pub(super) fn forward<N: ImageNetwork>(network: &N, images: &Tensor) -> Result<Tensor> {
    let fits = match (images.dims(), N::SIDE) {
        (&[count, height, width, 3], Some(side)) => count > 0 && (height, width) == (side, side),
        (&[1, height, width, 3], None) => {
            height > 0 && width > 0 && [height, width].iter().all(|side| side.is_multiple_of(Yunet::MULTIPLE_PX))
        }
        _ => false,
    };
    if !fits || images.dtype() != DType::F32 || !images.device().is_cpu() {
        let message = format!("{}: cannot take a tensor {:?} of {:?}", N::NAME, images.dims(), images.dtype());
        return Err(Error::internal(message));
    }
    let run = || images.contiguous()?.apply_op1_no_bwd(&Op(network));
    run().map_err(|error| Error::internal(format!("{}: the forward pass failed", N::NAME)).with_source(error))
}
