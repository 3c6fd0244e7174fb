//! MeanFlow targets, time samplers and generation against closed forms.

use advect_flow::flow_matching::{TimeConvention, regression_loss, weighted_mean};
use advect_flow::meanflow::{self, SampleWeight, TimeSampler, tie_fraction};
use advect_flow::{Conditional, Field, Grid, MeanVelocityNet, NetConfig, Span, sampler};
use advect_kernels::ode::Solver;
use advect_kernels::{Params, init};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

const ROWS: usize = 6;
const OBS: usize = 4;
const ACT: usize = 3;

fn normals(name: &str, shape: &[usize]) -> Result<Tensor> {
    let mut values = vec![0.0; shape.iter().product()];
    Stream::new(9, name).fill_normal(&mut values);
    Tensor::from_vec(values, shape, &Device::Cpu)
}

fn uniforms(name: &str, n: usize) -> Result<Tensor> {
    let mut values = vec![0.0; n];
    Stream::new(9, name).fill_uniform(&mut values);
    Tensor::from_vec(values, n, &Device::Cpu)
}

fn network() -> Result<(MeanVelocityNet, Params)> {
    let net = MeanVelocityNet::new(&NetConfig::flame(OBS, ACT, &[16, 16])?)?;
    let values = init::draw(
        net.layout(),
        init::Init::TruncatedNormal { scale: 1.0 },
        &mut Stream::new(1, "init"),
    );
    let params = Params::from_vec(net.layout().clone(), None, values, &Device::Cpu)?;
    Ok((net, params))
}

fn scalar(x: &Tensor) -> Result<f32> {
    x.to_scalar()
}

#[test]
fn with_r_equal_t_meanflow_is_flow_matching() -> Result<()> {
    let (net, params) = network()?;
    let (obs, act, eps) = (
        normals("obs", &[ROWS, OBS])?,
        normals("a", &[ROWS, ACT])?,
        normals("e", &[ROWS, ACT])?,
    );
    let t = uniforms("t", ROWS)?;
    let found = meanflow::loss(
        &net,
        params.tensor(),
        &obs,
        &act,
        &eps,
        (&t, &t),
        SampleWeight::Uniform,
    )?;
    let velocity = TimeConvention::NoiseUp.velocity(&act, &eps)?;
    let z = TimeConvention::NoiseUp.interpolate(&act, &eps, &t)?;
    let u = net.forward(params.tensor(), &obs, &z, [&t, &t])?;
    let expected = scalar(&regression_loss(&u, &velocity)?)? * ACT as f32;
    assert!((scalar(&found.loss)? - expected).abs() < 1e-5 * expected);
    assert_eq!(
        found.target.target.to_vec2::<f32>()?,
        velocity.to_vec2::<f32>()?
    );
    Ok(())
}

#[test]
fn adaptive_weight_divides_by_the_detached_loss() -> Result<()> {
    let (net, params) = network()?;
    let (obs, act, eps) = (
        normals("obs", &[ROWS, OBS])?,
        normals("a", &[ROWS, ACT])?,
        normals("e", &[ROWS, ACT])?,
    );
    let (r, t) = TimeSampler::Uniform {
        low: 0.0,
        high: 1.0,
    }
    .pair(&uniforms("r", ROWS)?, &uniforms("t", ROWS)?)?;
    let weight = SampleWeight::Adaptive { c: 0.01 };
    let found = meanflow::loss(&net, params.tensor(), &obs, &act, &eps, (&r, &t), weight)?;
    let losses = found.sample_loss.to_vec1::<f32>()?;
    let expected = losses.iter().map(|l| l / (l + 0.01)).sum::<f32>() / ROWS as f32;
    assert!((scalar(&found.loss)? - expected).abs() < 1e-5);
    // The weights are constants: the gradient is that of sum_b l_b / (l_b + c) with frozen denominators.
    let grad = found
        .loss
        .backward()?
        .get(params.var())
        .expect("a gradient")
        .clone();
    let frozen = (found.sample_loss.detach() + 0.01)?.recip()?;
    let same = (&found.sample_loss * frozen)?
        .mean_all()?
        .backward()?
        .get(params.var())
        .expect("a gradient")
        .clone();
    assert!(scalar(&(grad - same)?.abs()?.max_all()?)? < 1e-6);
    Ok(())
}

#[test]
fn mean_of_targets_is_the_target_of_the_mean() -> Result<()> {
    const K: usize = 5;
    let (net, params) = network()?;
    let (obs, z) = (normals("obs", &[ROWS, OBS])?, normals("z", &[ROWS, ACT])?);
    let (r, t) = TimeSampler::Uniform {
        low: 0.0,
        high: 1.0,
    }
    .pair(&uniforms("r", ROWS)?, &uniforms("t", ROWS)?)?;
    let v = normals("v", &[ROWS, K, ACT])?;
    let raw = normals("w", &[ROWS, K])?.exp()?;
    let weights = raw.broadcast_div(&raw.sum_keepdim(1)?)?;
    let theta = params.detached();
    let mut expected = z.zeros_like()?;
    for k in 0..K {
        let v_k = v.narrow(1, k, 1)?.squeeze(1)?.contiguous()?;
        let target = meanflow::target(&net, &theta, &obs, &z, &r, &t, &v_k)?.target;
        expected = (expected + target.broadcast_mul(&weights.narrow(1, k, 1)?)?)?;
    }
    let v_bar = weighted_mean(&weights, &v)?;
    let found = meanflow::target(&net, &theta, &obs, &z, &r, &t, &v_bar)?.target;
    assert!(scalar(&(found - expected)?.abs()?.max_all()?)? < 2e-5);
    Ok(())
}

#[test]
fn time_pairs_are_sorted_and_tied_where_asked() -> Result<()> {
    let (first, second) = (uniforms("first", 64)?, uniforms("second", 64)?);
    let sampler = TimeSampler::Uniform {
        low: 0.0054,
        high: 0.999,
    };
    let (r, t) = sampler.pair(&first, &second)?;
    let tied = tie_fraction(&r, &t, &uniforms("tie", 64)?, 0.75)?;
    let coins = uniforms("tie", 64)?.to_vec1::<f32>()?;
    let rows = r
        .to_vec1::<f32>()?
        .into_iter()
        .zip(t.to_vec1::<f32>()?)
        .zip(tied.to_vec1::<f32>()?);
    for (((r, t), tied), coin) in rows.zip(coins) {
        assert!(r <= t && r > 0.005 && t < 0.9991);
        assert_eq!(tied, if coin < 0.75 { t } else { r });
    }
    Ok(())
}

#[test]
fn logit_normal_times_follow_the_sigmoid() -> Result<()> {
    let draws = Tensor::new(&[0.0f32, 1.0, -2.0], &Device::Cpu)?;
    let found = TimeSampler::LogitNormal {
        mean: -0.4,
        std: 1.0,
    }
    .map(&draws)?
    .to_vec1::<f32>()?;
    for (time, logit) in found.iter().zip([-0.4f32, 0.6, -2.4]) {
        assert!((time - 1.0 / (1.0 + (-logit).exp())).abs() < 1e-6);
    }
    Ok(())
}

#[test]
fn paths_start_at_noise_and_end_at_data() -> Result<()> {
    let (act, eps) = (normals("a", &[2, ACT])?, normals("e", &[2, ACT])?);
    let ends = Tensor::new(&[0.0f32, 1.0], &Device::Cpu)?;
    let (act_rows, eps_rows) = (act.to_vec2::<f32>()?, eps.to_vec2::<f32>()?);
    let up = TimeConvention::DataUp
        .interpolate(&act, &eps, &ends)?
        .to_vec2::<f32>()?;
    assert_eq!((&up[0], &up[1]), (&eps_rows[0], &act_rows[1]));
    let down = TimeConvention::NoiseUp
        .interpolate(&act, &eps, &ends)?
        .to_vec2::<f32>()?;
    assert_eq!((&down[0], &down[1]), (&act_rows[0], &eps_rows[1]));
    Ok(())
}

/// Exact fields of the path from N(0, 1) noise to N(0, s^2) data, noise-up.
struct Gaussian {
    s: f64,
    average: bool,
}

impl Gaussian {
    fn scale(&self, t: f64) -> f64 {
        (((1.0 - t) * self.s).powi(2) + t * t).sqrt()
    }
}

impl Field for Gaussian {
    fn value(&self, x: &Tensor, Span { from, to }: Span) -> Result<Tensor> {
        if self.average {
            return x * ((1.0 - self.scale(to) / self.scale(from)) / (from - to));
        }
        x * ((from - (1.0 - from) * self.s * self.s) / self.scale(from).powi(2))
    }
}

#[test]
fn meanflow_generation_is_exact_in_any_number_of_steps_and_euler_converges() -> Result<()> {
    let z = Tensor::new(&[[1.0f32]], &Device::Cpu)?;
    let end = |average, n| -> Result<f32> {
        Ok(
            sampler::integrate(&Gaussian { s: 0.3, average }, &z, Grid::downwards(n))?
                .to_vec2::<f32>()?[0][0],
        )
    };
    for n in [1, 2, 7] {
        assert!((end(true, n)? - 0.3).abs() < 1e-6);
    }
    let (coarse, fine) = (
        (end(false, 100)? - 0.3).abs(),
        (end(false, 200)? - 0.3).abs(),
    );
    assert!((coarse / fine - 2.0).abs() < 0.1, "{coarse} {fine}");
    Ok(())
}

#[test]
fn higher_order_solvers_converge_at_their_order() -> Result<()> {
    let z = Tensor::new(&[[1.0f32]], &Device::Cpu)?;
    let field = Gaussian {
        s: 0.5,
        average: false,
    };
    let error = |solver, n| -> Result<f64> {
        let end = sampler::solve(&field, &z, Grid::downwards(n), solver)?.to_vec2::<f32>()?[0][0];
        Ok((f64::from(end) - 0.5).abs())
    };
    for (solver, n) in [(Solver::Euler, 64), (Solver::Heun, 16)] {
        let order = (error(solver, n)? / error(solver, 2 * n)?).log2();
        assert!(
            (order - f64::from(solver.order())).abs() < 0.3,
            "{solver:?} has order {order}"
        );
    }
    // On this path the midpoint's leading error cancels: it converges faster than its order.
    assert!(error(Solver::Midpoint, 8)? < error(Solver::Heun, 8)? / 8.0);
    assert!(error(Solver::Rk4, 16)? < error(Solver::Heun, 16)? / 10.0);
    Ok(())
}

#[test]
fn one_meanflow_step_subtracts_the_average_velocity() -> Result<()> {
    let (net, params) = network()?;
    let theta = params.detached();
    let (obs, z) = (normals("obs", &[ROWS, OBS])?, normals("z", &[ROWS, ACT])?);
    let (r, t) = (
        Tensor::new(&[0.0f32], &Device::Cpu)?,
        Tensor::new(&[1.0f32], &Device::Cpu)?,
    );
    let expected = (&z - net.forward(&theta, &obs, &z, [&r, &t])?)?;
    let field = Conditional {
        net: &net,
        params: &theta,
        obs: &obs,
    };
    let found = sampler::integrate(&field, &z, Grid::downwards(1))?;
    assert!(scalar(&(found - expected)?.abs()?.max_all()?)? < 1e-6);
    Ok(())
}
