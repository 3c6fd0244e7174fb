//! The transport field: where the landings of a state's particles should move (rldt.md section 3, step 4).

use advect_kernels::kernel_matrix::{Bandwidth, RadialKernel};
use advect_kernels::svgd::{direction, mean_norm};
use candle_core::{DType, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Largest mean gradient norm that the temperature follows.
const MAX_NORM: f64 = 1e5;
/// Added to the mean gradient norm before gradients are divided by it.
const NORM_EPS: f64 = 1e-8;

/// Which particles and which interaction make the field (rldt.md section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// SVGD: queries are landings, particles the end points.
    Normal,
    /// As `normal` with the landings as particles.
    Interp,
    /// As `normal` with the repulsion's sign turned where the landing is not that of the last step.
    Hybrid,
    /// The gradient at the landing alone, as the authors' code: `P` times the step of the others.
    Delta,
    /// The same with the factor `1/P`.
    DeltaMean,
}

/// What the temperature is relative to (rldt.md section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QNorm {
    /// `kappa = svgd_temp n`, `n` the mean norm of the state's gradients.
    Svgd,
    /// Gradients are divided by `n`; `kappa = svgd_temp`.
    QGrad,
    /// `kappa = svgd_temp`.
    None,
}

/// The kernel between particles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kernel {
    /// `exp(-d / (2 h))`.
    Rbf,
    /// `(1 + d / (2 h))^(-1/2)`.
    Imq,
}

impl From<Kernel> for RadialKernel {
    fn from(kernel: Kernel) -> Self {
        match kernel {
            Kernel::Rbf => Self::Rbf,
            Kernel::Imq => Self::Imq,
        }
    }
}

/// How a field is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// Particles and interaction.
    pub transport: Transport,
    /// What the temperature is relative to.
    pub q_norm: QNorm,
    /// The kernel.
    pub kernel: Kernel,
    /// Factor of the temperature, `svgd_temp`.
    pub temperature: f64,
    /// Bandwidth, `h`; 0 is the median rule per query.
    pub bandwidth: f64,
}

/// A field and its parts.
#[derive(Debug, Clone)]
pub struct Moved {
    /// The field `[M, P, A]`.
    pub phi: Tensor,
    /// What it is made of, where a kernel makes it.
    pub parts: Option<Parts>,
}

/// `phi_i = (attraction_i + kappa repulsion_i) / P`.
#[derive(Debug, Clone)]
pub struct Parts {
    /// `sum_j k_ij g_j` `[M, P, A]`.
    pub attraction: Tensor,
    /// `+- sum_j dk_ij/da_j` `[M, P, A]`.
    pub repulsion: Tensor,
    /// Temperature of every state `[M]`.
    pub kappa: Tensor,
    /// Bandwidth of every query `[M, P]`.
    pub bandwidth: Tensor,
}

impl Field {
    /// Whether the gradients that [`Field::at`] takes are those at the landings rather than at the end points.
    pub fn takes_landing_gradients(&self) -> bool {
        match self.transport {
            Transport::Normal | Transport::Hybrid => false,
            Transport::Interp | Transport::Delta | Transport::DeltaMean => true,
        }
    }

    /// The field at landings `y` of particles `a` with gradients `g` of the value, see [`Field::takes_landing_gradients`];
    /// `last` is 1 where the landing is that of the last step, else 0. No gradient flows.
    ///
    /// ```text
    /// phi_i = 1/P sum_j [ k(y_i, a_j) g_j + kappa dk(y_i, a_j)/da_j ]
    /// ```
    ///
    /// # Shapes
    /// `y`, `a` and `g` `[M, P, A]`, `last` `[M, P]` to `[M, P, A]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn at(&self, y: &Tensor, a: &Tensor, g: &Tensor, last: &Tensor) -> Result<Moved> {
        let phi = match self.transport {
            Transport::Delta => g.clone(),
            Transport::DeltaMean => (g / g.dim(1)? as f64)?,
            Transport::Interp => return self.kernelised(y, y, g, None),
            Transport::Normal => return self.kernelised(y, a, g, None),
            Transport::Hybrid => return self.kernelised(y, a, g, Some(&last.affine(2.0, -1.0)?)),
        };
        Ok(Moved { phi, parts: None })
    }

    fn kernelised(
        &self,
        y: &Tensor,
        a: &Tensor,
        g: &Tensor,
        sign: Option<&Tensor>,
    ) -> Result<Moved> {
        let (g, kappa) = self.tempered(g)?;
        let (states, queries, _) = y.dims3()?;
        let weight = kappa.unsqueeze(1)?.broadcast_as((states, queries))?;
        let weight = match sign {
            None => weight.contiguous()?,
            Some(sign) => (weight * sign)?,
        };
        let bandwidth = match self.bandwidth {
            0.0 => Bandwidth::MedianPerQuery,
            h => Bandwidth::Fixed(h),
        };
        let found = direction(self.kernel.into(), y, a, &g, &bandwidth, Some(&weight))?;
        let repulsion = match sign {
            None => found.repulsion,
            Some(sign) => found.repulsion.broadcast_mul(&sign.unsqueeze(2)?)?,
        };
        Ok(Moved {
            phi: found.phi,
            parts: Some(Parts {
                attraction: found.attraction,
                repulsion,
                kappa,
                bandwidth: found.bandwidth,
            }),
        })
    }

    /// Gradients as the kernel takes them, and the temperature of every state `[M]`.
    fn tempered(&self, g: &Tensor) -> Result<(Tensor, Tensor)> {
        let norm = mean_norm(g, MAX_NORM)?;
        let fixed = || (norm.ones_like()? * self.temperature)?.to_dtype(DType::F32);
        match self.q_norm {
            QNorm::Svgd => Ok((g.clone(), (&norm * self.temperature)?)),
            QNorm::None => Ok((g.clone(), fixed()?)),
            QNorm::QGrad => {
                let divisor = (&norm + NORM_EPS)?.unsqueeze(1)?.unsqueeze(2)?;
                Ok((g.broadcast_div(&divisor)?, fixed()?))
            }
        }
    }
}
