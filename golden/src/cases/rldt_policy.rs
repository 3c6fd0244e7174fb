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

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::super::tests::{Edit, forward_file};
    use super::*;

    const CONFIG: &str =
        r#"{"activation": "relu", "hidden": 1, "n_blocks": 1, "layernorm": false, "time_dim": 2}"#;

    /// The file of a network of width one: `h = 2 x + 3 s + 1`, `y = h + relu(relu(h)) + 0.5`.
    fn file(extra: Vec<Edit>) -> Vec<u8> {
        let tensor = |name, shape: &[usize], values: &[f32]| {
            Edit::Tensor(name, shape.to_vec(), values.to_vec())
        };
        let mut edits = vec![
            Edit::Meta("config", CONFIG),
            tensor("obs", &[1, 1], &[2.0]),
            tensor("policy.time.0.weight", &[4, 2], &[0.0; 8]),
            tensor("policy.time.0.bias", &[4], &[0.0; 4]),
            tensor("policy.time.1.weight", &[2, 4], &[0.0; 8]),
            tensor("policy.time.1.bias", &[2], &[0.0; 2]),
            tensor("policy.in.weight", &[1, 4], &[2.0, 0.0, 0.0, 3.0]),
            tensor("policy.in.bias", &[1], &[1.0]),
            tensor("policy.block0.fc1.weight", &[1, 1], &[1.0]),
            tensor("policy.block0.fc1.bias", &[1], &[0.0]),
            tensor("policy.block0.fc2.weight", &[1, 1], &[1.0]),
            tensor("policy.block0.fc2.bias", &[1], &[0.0]),
            tensor("policy.out.weight", &[1, 1], &[1.0]),
            tensor("policy.out.bias", &[1], &[0.5]),
        ];
        edits.extend(extra);
        forward_file(&edits)
    }

    #[test]
    fn the_stored_network_is_computed() -> Result<()> {
        let case = Case::parse(&file(Vec::new()))?;
        let policy = RldtPolicy::of(&case)?;
        let (x, t) = (
            Tensor::new(&[[1f32]], &Device::Cpu)?,
            Tensor::new(&[0.5f32], &Device::Cpu)?,
        );
        let y = policy
            .net
            .forward(policy.params.tensor(), &case.input("obs")?, &x, [&t])?;
        assert_eq!(y.to_vec2::<f32>()?, [[18.5]]);
        let anchor = policy.params_of(&case, "ref").unwrap_err();
        assert!(anchor.to_string().contains("ref.time.0.weight"), "{anchor}");
        Ok(())
    }

    #[test]
    fn an_absent_tensor_is_named() -> Result<()> {
        let bytes = file(vec![Edit::NoTensor("policy.block0.fc2.bias")]);
        let error = RldtPolicy::of(&Case::parse(&bytes)?).unwrap_err();
        assert!(error.to_string().contains("block0.fc2.bias"), "{error}");
        Ok(())
    }
}
