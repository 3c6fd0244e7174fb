//! The network behind the inputs, plain or residual.

use advect_kernels::{
    Context, KernelError, Mlp, ParamLayout, Precision, Pullback, ResidualConfig, ResidualMlp,
};
use candle_core::{Result, Tensor};

use super::TrunkConfig;

/// [`TrunkConfig`] with its widths.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Trunk {
    Mlp(Mlp),
    Residual(ResidualMlp),
}

impl Trunk {
    pub fn new(config: &TrunkConfig, inputs: usize, outputs: usize) -> Result<Self> {
        match config {
            TrunkConfig::Mlp { hidden, activation } => {
                let sizes = [&[inputs], hidden.as_slice(), &[outputs]].concat();
                Mlp::new(&sizes, *activation).map(Self::Mlp)
            }
            &TrunkConfig::Residual {
                hidden,
                n_blocks,
                activation,
                form,
            } => {
                let config = ResidualConfig {
                    inputs,
                    hidden,
                    outputs,
                    n_blocks,
                    activation,
                    form,
                };
                ResidualMlp::new(&config).map(Self::Residual)
            }
        }
    }

    pub fn push_layout(&self, layout: &mut ParamLayout, prefix: &str) {
        match self {
            Self::Mlp(mlp) => mlp.push_layout(layout, prefix),
            Self::Residual(net) => net.push_layout(layout, prefix),
        }
    }

    pub fn forward(&self, params: &Tensor, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Mlp(mlp) => mlp.forward(params, x),
            Self::Residual(net) => net.forward(params, x),
        }
    }

    pub fn forward_with_pullback(&self, params: &Tensor, x: &Tensor) -> Result<(Tensor, Pullback)> {
        match self {
            Self::Mlp(mlp) => mlp.forward_with_pullback(params, x),
            Self::Residual(net) => net.forward_with_pullback(params, x),
        }
    }

    pub fn forward_with_tangent(
        &self,
        params: &Tensor,
        both: &Tensor,
    ) -> Result<(Tensor, Tensor, Pullback)> {
        match self {
            Self::Mlp(mlp) => mlp.forward_with_tangent(params, both),
            Self::Residual(net) => net.forward_with_tangent(params, both),
        }
    }

    pub fn jvp(&self, params: &Tensor, x: &Tensor, x_dot: &Tensor) -> Result<(Tensor, Tensor)> {
        match self {
            Self::Mlp(mlp) => mlp.jvp(params, x, x_dot),
            Self::Residual(net) => net.jvp(params, x, x_dot),
        }
    }

    pub fn jvp_tracked(
        &self,
        params: &Tensor,
        x: &Tensor,
        x_dot: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        match self {
            Self::Mlp(mlp) => mlp.jvp_tracked(params, x, x_dot),
            Self::Residual(_) => Err(KernelError::Invalid {
                what: "FlowNet::jvp_tracked".into(),
                problem: "a residual trunk has no tangent that can be differentiated".into(),
                fix:
                    "use `TrunkConfig::Mlp`, or `FlowNet::jvp` where the tangent needs no gradient"
                        .into(),
            }
            .into()),
        }
    }

    pub fn jacobian(
        &self,
        params: &Tensor,
        x: &Tensor,
        slot: usize,
        width: usize,
    ) -> Result<(Tensor, Tensor)> {
        match self {
            Self::Mlp(mlp) => mlp.jacobian(params, x, slot, width),
            Self::Residual(net) => net.jacobian(params, x, slot, width),
        }
    }

    pub fn step_shared(
        &self,
        params: &Tensor,
        context: Context<'_>,
        own: &Tensor,
        h: f64,
        precision: Precision,
    ) -> Result<Tensor> {
        match self {
            Self::Mlp(mlp) => mlp.step_shared(params, context, own, h, precision),
            Self::Residual(net) => net.step_shared(params, context, own, h, precision),
        }
    }

    pub fn forward_shared(
        &self,
        params: &Tensor,
        context: Context<'_>,
        own: &Tensor,
        precision: Precision,
    ) -> Result<Tensor> {
        match self {
            Self::Mlp(mlp) => mlp.forward_shared(params, context, own, precision),
            Self::Residual(net) => net.forward_shared(params, context, own, precision),
        }
    }
}
