//! Density and entropy of the squashed flow (fmer.md section 5).

use advect_flow::density::{Volume, standard_normal_entropy, trace, transport};
use advect_flow::{Conditional, Grid, VelocityNet};
use advect_kernels::scalars::Scalar;
use candle_core::{DType, Result, Tensor};

use crate::rows::repeat_rows;
use crate::squash::log_tanh_slope;

/// Entropy of `tanh N(0, 1)` in nats, `h0` of (H2).
pub const BASE_ENTROPY: f64 = 0.669_804_118_2;

/// Generated latents with their density.
#[derive(Debug, Clone)]
pub struct Density {
    /// `u_N` `[R, d]`, not clamped.
    pub latent: Tensor,
    /// What the steps did to volume `[R]`, an estimate of the integral of the divergence.
    pub log_volume: Tensor,
    /// `g(u_N) = sum_i log(1 - tanh(u_i)^2)` `[R]`.
    pub tanh_logdet: Tensor,
    /// `log pi(tanh u_N | s) = log N(z; 0, I) - log_volume - g(u_N)` `[R]`.
    pub log_prob: Tensor,
}

/// Latents from noise `z` and the log-density of their actions, without gradient (section 5.1).
///
/// # Shapes
/// `params` `[P]`, `obs` `[R, o]`, `z` `[R, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn density(
    net: &VelocityNet,
    params: &Tensor,
    obs: &Tensor,
    z: &Tensor,
    n_steps: usize,
    volume: Volume<'_>,
) -> Result<Density> {
    let field = Conditional { net, params, obs };
    let moved = transport(&field, z, Grid::data_up(n_steps), volume)?;
    let tanh_logdet = log_tanh_slope(&moved.end)?.sum(1)?;
    let log_prob = (moved.log_prob_from_noise(z)? - &tanh_logdet)?;
    Ok(Density {
        latent: moved.end,
        log_volume: moved.log_volume,
        tanh_logdet,
        log_prob,
    })
}

impl Density {
    /// `H = (d/2) log(2 pi e) + mean(log_volume) + mean g(u_N)` as a scalar: (H1).
    ///
    /// # Errors
    /// If the device fails.
    pub fn entropy(&self) -> Result<Tensor> {
        h1(&self.log_volume, &self.tanh_logdet, self.latent.dim(1)?)
    }
}

fn h1(log_volume: &Tensor, tanh_logdet: &Tensor, act_dim: usize) -> Result<Tensor> {
    (log_volume + tanh_logdet)?.mean_all()? + standard_normal_entropy(act_dim)
}

/// `v` and `div_u v` at points `u`, both differentiable in `params` and `u`: the exact trace, or `probe' J probe`.
///
/// The exact trace takes one tangent pass per dimension, all in one batch of `R d` rows.
///
/// # Shapes
/// `params` `[P]`, `obs` `[R, o]`, `u` and `probe` `[R, d]`, `tau` `[R]` or `[1]` to `[R, d]` and `[R]`.
///
/// # Errors
/// On a shape mismatch.
pub fn velocity_and_divergence(
    net: &VelocityNet,
    params: &Tensor,
    obs: &Tensor,
    u: &Tensor,
    tau: &Tensor,
    probe: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    if let Some(probe) = probe {
        let (v, along) = net.jvp_tracked(params, obs, u, [tau], probe)?;
        let divergence = (along * probe)?.sum(1)?;
        return Ok((v, divergence));
    }
    let (rows, d) = u.dims2()?;
    let (obs, points) = (repeat_rows(obs, d)?, repeat_rows(u, d)?);
    let tau = if tau.dim(0)? == rows {
        repeat_rows(tau, d)?
    } else {
        tau.clone()
    };
    let units = Tensor::eye(d, DType::F32, u.device())?.repeat((rows, 1))?;
    let (v, columns) = net.jvp_tracked(params, &obs, &points, [&tau], &units)?;
    let v = v.reshape((rows, d, d))?.narrow(1, 0, 1)?.squeeze(1)?;
    Ok((v, trace(&columns.reshape((rows, d, d))?)?))
}

/// Points of the flow, held constant.
#[derive(Debug, Clone)]
pub struct Nodes {
    /// States `[n, o]`.
    pub obs: Tensor,
    /// Latents `[n, d]`.
    pub u: Tensor,
    /// Flow times `[n]`.
    pub tau: Tensor,
}

/// The two terms of (H2) at points of the flow.
#[derive(Debug, Clone)]
pub struct Local {
    /// `div_u v` `[n]`.
    pub divergence: Tensor,
    /// `-2 tanh(u)' v` `[n]`.
    pub tanh_term: Tensor,
    act_dim: usize,
}

impl Local {
    /// The terms from a velocity and its divergence at points `u`.
    ///
    /// # Shapes
    /// `u` and `v` `[n, d]`, `divergence` `[n]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn new(u: &Tensor, v: &Tensor, divergence: Tensor) -> Result<Self> {
        let tanh_term = ((u.tanh()? * v)?.sum(1)? * -2.0)?;
        Ok(Self {
            divergence,
            tanh_term,
            act_dim: u.dim(1)?,
        })
    }

    /// The terms at `nodes`, differentiable in `params`; probe as in [`velocity_and_divergence`].
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn at(
        net: &VelocityNet,
        params: &Tensor,
        nodes: &Nodes,
        probe: Option<&Tensor>,
    ) -> Result<Self> {
        let Nodes { obs, u, tau } = nodes;
        let (v, divergence) = velocity_and_divergence(net, params, obs, u, tau, probe)?;
        Self::new(u, &v, divergence)
    }

    /// `mean_n [div_u v - 2 tanh(u)' v]`: how fast the flow gains action entropy, as a scalar.
    ///
    /// # Errors
    /// If the device fails.
    pub fn rate(&self) -> Result<Tensor> {
        (&self.divergence + &self.tanh_term)?.mean_all()
    }

    /// `H = d h0 + rate` as a scalar: (H2). Its gradient with the nodes held is the local surrogate of section 5.2.
    ///
    /// # Errors
    /// If the device fails.
    pub fn entropy(&self) -> Result<Tensor> {
        self.rate()? + BASE_ENTROPY * self.act_dim as f64
    }

    /// `-alpha rate` as a scalar: the loss of section 5.2.
    ///
    /// # Errors
    /// If the device fails.
    pub fn loss(&self, alpha: impl Into<Scalar>) -> Result<Tensor> {
        alpha.into().affine(-1.0, 0.0)?.times(&self.rate()?)
    }
}

/// (H1) through all Euler steps, differentiable in `params` (section 5.3), and the mean volume term.
#[derive(Debug, Clone)]
pub struct Unrolled {
    /// `(d/2) log(2 pi e) + mean(V) + mean g(u_N)`, a scalar.
    pub entropy: Tensor,
    /// `mean(V)`, `V = (1/N) sum_n div v(u_n)`, a scalar.
    pub divergence: Tensor,
}

/// The entropy of the Euler map by traces, differentiable through the map; probe as in [`velocity_and_divergence`], one
/// for all steps.
///
/// # Shapes
/// `params` `[P]`, `obs` `[R, o]`, `z` and `probe` `[R, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn unrolled(
    net: &VelocityNet,
    params: &Tensor,
    obs: &Tensor,
    z: &Tensor,
    n_steps: usize,
    probe: Option<&Tensor>,
) -> Result<Unrolled> {
    let mut u = z.clone();
    let mut volume = Tensor::zeros(z.dim(0)?, DType::F32, z.device())?;
    for span in Grid::data_up(n_steps).spans() {
        let tau = Tensor::new(&[span.from as f32], z.device())?;
        let (v, divergence) = velocity_and_divergence(net, params, obs, &u, &tau, probe)?;
        volume = (volume + (divergence * span.length())?)?;
        u = (u + (v * span.length())?)?;
    }
    let tanh_logdet = log_tanh_slope(&u)?.sum(1)?;
    Ok(Unrolled {
        entropy: h1(&volume, &tanh_logdet, u.dim(1)?)?,
        divergence: volume.mean_all()?,
    })
}
