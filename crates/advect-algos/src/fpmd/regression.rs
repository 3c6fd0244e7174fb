//! The weighted regression of either variant on freshly noised actions.

use advect_flow::TimeSampler;
use advect_kernels::random;
use advect_rng::Stream;
use candle_core::{Result, Tensor};

use super::{policy_m, policy_r};
use crate::flow_times;
use crate::generator::Generator;
use crate::noisy_best_of::{FlowPolicy, Regress};

/// Flow times of the loss: uniform on (0, 1).
const TIMES: TimeSampler = TimeSampler::Uniform {
    low: 0.0,
    high: 1.0,
};

impl Regress for FlowPolicy {
    fn weighted_loss(
        &self,
        params: &Tensor,
        obs: &Tensor,
        act: &Tensor,
        weights: &Tensor,
        stream: &mut Stream,
    ) -> Result<Tensor> {
        let (rows, device) = (act.dim(0)?, act.device());
        let noise = random::normal(stream, act.dims(), device)?;
        let pair = (act, &noise);
        match &self.generator {
            Generator::R(net) => {
                let tau = flow_times::single(TIMES, rows, stream, device)?;
                policy_r::loss(net, params, obs, pair, &tau, weights)
            }
            Generator::M(net) => {
                let (r, t) = flow_times::pair(TIMES, rows, stream, device)?;
                policy_m::loss(net, params, obs, pair, (&r, &t), weights)
            }
        }
    }
}
