//! Which instruction set the kernels run on, decided once.

use std::sync::OnceLock;

#[cfg(target_arch = "x86_64")]
use super::simd::{Avx2, Avx512};
use super::simd::{Kernel, Portable, Simd};
use error::{Error, Result};

/// The environment variable that forces an instruction set: `avx512`, `avx2` or `portable`.
pub const ISA_VARIABLE: &str = "ROLLCALL_ISA";

/// An instruction set that this processor has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Isa(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Isa {
    /// Plain Rust, which every processor runs.
    pub const PORTABLE: Self = Self(Kind::Portable);

    /// All that this processor has, fastest first. All but the portable one include AVX2 and FMA.
    pub fn available() -> Vec<Self> {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma");
            // Every processor with AVX-512 has both, but a hypervisor may hide what it likes.
            if has_avx2 && std::arch::is_x86_feature_detected!("avx512f") {
                found.push(Self(Kind::Avx512));
            }
            if has_avx2 {
                found.push(Self(Kind::Avx2));
            }
        }
        found.push(Self::PORTABLE);
        found
    }

    /// The name that [`ISA_VARIABLE`] takes.
    pub const fn name(self) -> &'static str {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16 => "avx512bf16",
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => "avx2",
            Kind::Portable => "portable",
        }
    }

    /// Whether it is AVX-512, of which the processor may lack parts.
    pub const fn is_avx512(self) -> bool {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 => true,
            _ => false,
        }
    }

    /// Numbers in one vector.
    pub const fn lanes(self) -> usize {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 | Kind::Avx512Bf16 => Avx512::LANES,
            #[cfg(target_arch = "x86_64")]
            Kind::Avx2 => Avx2::LANES,
            Kind::Portable => Portable::LANES,
        }
    }

    /// The one that [`ISA_VARIABLE`] names, else the fastest; the same answer for the life of the process.
    ///
    /// # Errors
    /// The variable names something unknown or something that this processor lacks.
    pub fn chosen() -> Result<Self> {
        static CHOSEN: OnceLock<Result<Isa, String>> = OnceLock::new();
        CHOSEN
            .get_or_init(|| match std::env::var(ISA_VARIABLE) {
                Ok(name) => Self::available().into_iter().find(|isa| isa.name() == name).ok_or(name),
                Err(_) => Ok(Self::available()[0]),
            })
            .clone()
            .map_err(|name| {
                let have: Vec<_> = Self::available().iter().map(|isa| isa.name()).collect();
                Error::invalid(format!("{ISA_VARIABLE}={name}: this processor offers {}", have.join(", ")))
            })
    }

    /// This instruction set with products of bf16 numbers, if it has the instructions.
    #[must_use]
    pub fn with_bf16_products(self) -> Option<Self> {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512 if std::arch::is_x86_feature_detected!("avx512bf16") => Some(Self(Kind::Avx512Bf16)),
            _ => None,
        }
    }

    /// This instruction set with products of f32 numbers.
    #[must_use]
    pub const fn with_f32_products(self) -> Self {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Kind::Avx512Bf16 => Self(Kind::Avx512),
            _ => self,
        }
    }

    /// Whether products take their inputs in pairs.
    pub(super) fn takes_pairs(self) -> bool {
        self != self.with_f32_products()
    }

    /// Runs `kernel` compiled for this instruction set.
    #[inline]
    pub fn run<K: Kernel>(self, kernel: K) {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an Isa of this kind is only made after the processor was asked.
            Kind::Avx512 => unsafe { x86::run_avx512(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an Isa of this kind is only made after the processor was asked.
            Kind::Avx512Bf16 => unsafe { x86::run_avx512_bf16(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: an Isa of this kind is only made after the processor was asked.
            Kind::Avx2 => unsafe { x86::run_avx2(kernel) },
            Kind::Portable => kernel.run(Portable),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::simd::{Avx2, Avx512, Avx512Bf16, Kernel};

    #[target_feature(enable = "avx512f,avx2,fma")]
    pub(super) unsafe fn run_avx512<K: Kernel>(kernel: K) {
        // SAFETY: this function may only be called where avx512f is.
        kernel.run(unsafe { Avx512::new() });
    }

    #[target_feature(enable = "avx512f,avx512bf16,avx2,fma")]
    pub(super) unsafe fn run_avx512_bf16<K: Kernel>(kernel: K) {
        // SAFETY: this function may only be called where avx512f and avx512bf16 are.
        kernel.run(unsafe { Avx512Bf16::new() });
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn run_avx2<K: Kernel>(kernel: K) {
        // SAFETY: this function may only be called where avx2 and fma are.
        kernel.run(unsafe { Avx2::new() });
    }
}
