//! What the embedding's products multiply.

use super::kernels::Isa;
use error::{Error, Result};

/// The numbers that go into products; sums are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE single precision.
    F32,
    /// The upper half of it: eight bits of mantissa, two numbers an instruction instead of one.
    Bf16,
}

impl Precision {
    /// `isa` with products of this precision.
    ///
    /// # Errors
    /// `invalid` where it has no instructions for them.
    pub(super) fn products(self, isa: Isa) -> Result<Isa> {
        match self {
            Self::F32 => Ok(isa),
            Self::Bf16 => isa.with_bf16_products().ok_or_else(|| {
                let name = isa.name();
                Error::invalid(format!("nn.precision: bf16 wants AVX512_BF16, and {name} is in use here; take f32"))
            }),
        }
    }
}
