//! The networks in use, replaceable while photos are under way.

use std::{path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use candle_core::{Device, Shape, Tensor};

use crate::{
    error::{Error, Result},
    nn::{Networks, Precision},
};

/// Holds the networks and knows how to build them anew.
pub struct NetworkSlot {
    dir: Option<PathBuf>,
    precision: Precision,
    current: ArcSwap<Networks>,
}

impl NetworkSlot {
    /// Loads the networks from `dir`, or those compiled in, and runs each once.
    ///
    /// # Errors
    /// As for [`Networks::load`].
    pub fn load(dir: Option<PathBuf>, precision: Precision) -> Result<Self> {
        let networks = Networks::load(dir.as_deref(), precision)?;
        networks.warm_up()?;
        Ok(Self { dir, precision, current: ArcSwap::from_pointee(networks) })
    }

    /// The networks to use for one task.
    pub fn get(&self) -> Arc<Networks> {
        self.current.load_full()
    }

    /// Builds the networks anew after a panic inside one of them, whose state is unknown; if that fails the old ones
    /// stay. Runs on the compute thread that caught the panic.
    pub fn rebuild(&self) {
        match Networks::load(self.dir.as_deref(), self.precision) {
            Ok(networks) => self.current.store(Arc::new(networks)),
            Err(error) => tracing::error!(%error, "the networks could not be built anew; the old ones stay"),
        }
    }
}

/// A network's input from numbers in row-major order.
pub(super) fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> Result<Tensor> {
    Tensor::from_vec(values, shape.into(), &Device::Cpu)
        .map_err(|error| Error::internal("a network's input has another size").with_source(error))
}
