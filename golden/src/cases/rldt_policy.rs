//! RLDT's velocity network as the `rldt.*` files store it.

use advect_flow::{NetConfig, RldtNet, VelocityNet};
use advect_kernels::Params;

use crate::case::Case;
use crate::error::GoldenError;

type Result<T> = std::result::Result<T, GoldenError>;

/// The network of a file with its policy's parameters; an anchor of the same shape is [`RldtPolicy::params_of`] `ref`.
#[derive(Debug, Clone)]
pub struct RldtPolicy {
    /// The network.
    pub net: VelocityNet,
    /// The parameters `policy`.
    pub params: Params,
}

impl RldtPolicy {
    /// The network that configuration and stored weights describe.
    ///
    /// # Errors
    /// If a key or a tensor is absent or has another shape.
    pub fn of(case: &Case) -> Result<Self> {
        let config = RldtNet {
            hidden: case.config("hidden")?,
            n_blocks: case.config("n_blocks")?,
            layer_norm: case.config("layernorm")?,
            activation: case.activation()?,
            time_dim: case.config("time_dim")?,
            cond: case.config::<Option<_>>("cond")?.unwrap_or_default(),
        };
        let obs_dim = case.shape("obs")?[1];
        let act_dim = case.shape("policy.out.weight")?[0];
        let net = VelocityNet::new(&NetConfig::rldt(obs_dim, act_dim, &config)?)?;
        let params = case.params("policy", net.layout())?;
        Ok(Self { net, params })
    }

    /// The parameters of another stored network of the same shape.
    ///
    /// # Errors
    /// If a tensor is absent or has another shape.
    pub fn params_of(&self, case: &Case, name: &str) -> Result<Params> {
        case.params(name, self.net.layout())
    }
}
