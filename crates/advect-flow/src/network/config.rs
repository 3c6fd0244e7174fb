//! Sizes and parts of the networks of the algorithms.

use advect_kernels::{Activation, BlockForm};
use candle_core::Result;

use crate::time_embedding::{TimeEmbedding, TimeFeatures};

/// Order of the trunk's input columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputOrder {
    /// `[obs, z, e(t)]` (FLAME).
    #[default]
    ObsFirst,
    /// `[z, obs, e(t)]` (FMER, FM-IRL).
    LatentFirst,
    /// `[z, e(t), obs]` (QVPO, DIPO, RLDT).
    LatentTimeObs,
}

/// The network behind the inputs.
#[derive(Debug, Clone, PartialEq)]
pub enum TrunkConfig {
    /// A plain MLP, parameters `{prefix}.{i}`.
    Mlp {
        /// Hidden widths.
        hidden: Vec<usize>,
        /// Activation after every layer but the last.
        activation: Activation,
    },
    /// A residual network, parameters `{prefix}.in`, `{prefix}.block{j}.*`, `{prefix}.out` as [`BlockForm`] says.
    Residual {
        /// Width of the residual stream and of the layers in the blocks.
        hidden: usize,
        /// Number of residual blocks.
        n_blocks: usize,
        /// Activation of the blocks.
        activation: Activation,
        /// What a block computes.
        form: BlockForm,
    },
}

/// Sizes and parts of a (mean-)velocity network.
#[derive(Debug, Clone, PartialEq)]
pub struct NetConfig {
    /// First part of every parameter name.
    pub prefix: String,
    /// Width of the observation.
    pub obs_dim: usize,
    /// Width of the action, and of the velocity.
    pub act_dim: usize,
    /// Widths of the layers of an MLP whose output takes the observation's place, Mish between them; empty for none.
    pub cond: Vec<usize>,
    /// The network behind the inputs.
    pub trunk: TrunkConfig,
    /// Order of the trunk's inputs.
    pub order: InputOrder,
    /// Embedding of every flow time; each time has its own parameters.
    pub time: TimeEmbedding,
}

impl NetConfig {
    /// FLAME's network (flame.md section 2): Mish, `[obs, z, e]`, sinusoid of width 16 with its MLP.
    ///
    /// # Errors
    /// None for these widths.
    pub fn flame(obs_dim: usize, act_dim: usize, hidden: &[usize]) -> Result<Self> {
        Ok(Self {
            prefix: "policy".into(),
            obs_dim,
            act_dim,
            cond: Vec::new(),
            trunk: TrunkConfig::Mlp {
                hidden: hidden.to_vec(),
                activation: Activation::Mish,
            },
            order: InputOrder::ObsFirst,
            time: TimeEmbedding::flame()?,
        })
    }

    /// FMER's network (fmer.md section 2.3): `[u, s, e]`, `n_freq` Fourier frequencies and the time itself.
    pub fn fmer(
        obs_dim: usize,
        act_dim: usize,
        hidden: &[usize],
        activation: Activation,
        n_freq: usize,
    ) -> Self {
        Self {
            prefix: "policy".into(),
            obs_dim,
            act_dim,
            cond: Vec::new(),
            trunk: TrunkConfig::Mlp {
                hidden: hidden.to_vec(),
                activation,
            },
            order: InputOrder::LatentFirst,
            time: TimeEmbedding::fourier(n_freq),
        }
    }

    /// QVPO's noise-prediction network (baselines.md section 2): Mish, `[z, e, obs]`, the step's index in a sinusoid of
    /// width `time_dim`, then `time_dim` to `time_hidden` (Mish) to `time_dim`.
    ///
    /// # Errors
    /// If `time_dim` is below two or `time_hidden` is zero.
    pub fn denoiser(
        obs_dim: usize,
        act_dim: usize,
        hidden: &[usize],
        time_dim: usize,
        time_hidden: usize,
    ) -> Result<Self> {
        let features = TimeFeatures::rldt(time_dim);
        Ok(Self {
            order: InputOrder::LatentTimeObs,
            time: TimeEmbedding::with_mlp(features, time_hidden, time_dim, Activation::Mish)?,
            ..Self::flame(obs_dim, act_dim, hidden)?
        })
    }

    /// RLDT's network (rldt.md section 6): `[x, e, s]` with the time of `[0, 1)` in a sinusoid of width `D`, then `D` to `2 D`
    /// (Mish) to `D`, and a residual trunk; LayerNorms have the constant 1e-6.
    ///
    /// # Errors
    /// If the time's width is below two.
    pub fn rldt(obs_dim: usize, act_dim: usize, net: &RldtNet) -> Result<Self> {
        Ok(Self {
            prefix: "policy".into(),
            obs_dim,
            act_dim,
            cond: net.cond.clone(),
            trunk: TrunkConfig::Residual {
                hidden: net.hidden,
                n_blocks: net.n_blocks,
                activation: net.activation,
                form: BlockForm::PreActivation {
                    ln_eps: net.layer_norm.then_some(1e-6),
                },
            },
            order: InputOrder::LatentTimeObs,
            time: TimeEmbedding::rldt(net.time_dim)?,
        })
    }

    /// FM-IRL's joint network (fm_irl.md section 2.1): `[x_t, c, e]`, SiLU, LayerNorms with the constant 1e-5. The label `c`
    /// `[B, label_dim]` takes the observation's place, the joint vector of state and action the latent's.
    pub fn fm_irl(
        label_dim: usize,
        joint_dim: usize,
        hidden: usize,
        n_blocks: usize,
        time: TimeEmbedding,
    ) -> Self {
        Self {
            prefix: "disc".into(),
            obs_dim: label_dim,
            act_dim: joint_dim,
            cond: Vec::new(),
            trunk: TrunkConfig::Residual {
                hidden,
                n_blocks,
                activation: Activation::Silu,
                form: BlockForm::PostActivation { ln_eps: 1e-5 },
            },
            order: InputOrder::LatentFirst,
            time,
        }
    }

    /// Width of the observation as the trunk sees it.
    pub(super) fn encoded_obs_dim(&self) -> usize {
        self.cond.last().copied().unwrap_or(self.obs_dim)
    }
}

/// What RLDT's networks differ in (rldt.md section 6).
#[derive(Debug, Clone, PartialEq)]
pub struct RldtNet {
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of residual blocks.
    pub n_blocks: usize,
    /// Whether the blocks have LayerNorms.
    pub layer_norm: bool,
    /// Activation of the blocks.
    pub activation: Activation,
    /// Width of the time embedding.
    pub time_dim: usize,
    /// Widths of the observation encoder, empty for none.
    pub cond: Vec<usize>,
}

impl RldtNet {
    /// The network of the Gym tasks: one block of width 512, ReLU.
    pub fn gym() -> Self {
        Self {
            hidden: 512,
            n_blocks: 1,
            layer_norm: false,
            activation: Activation::Relu,
            time_dim: 16,
            cond: Vec::new(),
        }
    }

    /// The network of the Furniture tasks: three blocks of width 1024 with LayerNorm, Mish, states encoded by 512 to 64.
    pub fn furniture() -> Self {
        Self {
            hidden: 1024,
            n_blocks: 3,
            layer_norm: true,
            activation: Activation::Mish,
            time_dim: 32,
            cond: vec![512, 64],
        }
    }
}
