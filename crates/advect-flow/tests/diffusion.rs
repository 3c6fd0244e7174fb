//! Diffusion against closed forms: schedules, moments of noised data, the reverse chain on Gaussian targets.

use advect_flow::flow_matching::regression_loss;
use advect_flow::{Candidates, Conditional, Field, NetConfig, Span, VelocityNet};
use advect_flow::{NoiseSchedule, ReverseChain};
use advect_kernels::optim::{Adam, AdamConfig};
use advect_kernels::{Params, Precision, init, random};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};

const ROWS: usize = 20_000;

fn moments(x: &Tensor) -> Result<(f64, f64)> {
    let x = x.flatten_all()?.to_dtype(DType::F64)?;
    let mean = x.mean(0)?.to_scalar::<f64>()?;
    Ok((mean, (x - mean)?.sqr()?.mean(0)?.to_scalar()?))
}

fn max_abs(x: &Tensor) -> Result<f32> {
    x.abs()?.max_all()?.to_scalar()
}

fn close(found: f64, expected: f64, tolerance: f64) {
    assert!(
        (found - expected).abs() <= tolerance,
        "{found} instead of {expected}"
    );
}

#[test]
fn cosine_products_telescope_until_beta_is_capped() -> Result<()> {
    let (steps, s) = (20, 0.008);
    let schedule = NoiseSchedule::cosine(steps, s, 0.999)?;
    let f = |i: usize| {
        let phase = (i as f64 / steps as f64 + s) / (1.0 + s);
        (phase * std::f64::consts::FRAC_PI_2).cos().powi(2)
    };
    for k in 0..steps - 1 {
        close(schedule.alpha_bar()[k], f(k + 1) / f(0), 1e-14);
    }
    assert_eq!(schedule.beta()[steps - 1], 0.999);
    let (last, before) = (
        schedule.alpha_bar()[steps - 1],
        schedule.alpha_bar()[steps - 2],
    );
    close(last, before * 0.001, 1e-15);
    Ok(())
}

#[test]
fn linear_betas_run_from_end_to_end() -> Result<()> {
    let schedule = NoiseSchedule::linear(20, 0.8, 1e-4, 0.999)?;
    close(schedule.beta()[0], 0.8e-4, 1e-18);
    close(schedule.beta()[19], 0.7992, 1e-15);
    let steps: Vec<f64> = schedule.beta().windows(2).map(|b| b[1] - b[0]).collect();
    steps.iter().for_each(|step| close(*step, steps[0], 1e-15));
    let logs: f64 = schedule.beta().iter().map(|b| (-b).ln_1p()).sum();
    close(schedule.alpha_bar()[19].ln(), logs, 1e-12);
    assert_eq!(NoiseSchedule::linear(1, 0.5, 0.2, 0.9)?.beta(), [0.1]);
    Ok(())
}

/// `q(x_{k-1} | x_0)` is the posterior averaged over `q(x_k | x_0)`.
#[test]
fn posterior_and_forward_chain_agree() -> Result<()> {
    let schedule = NoiseSchedule::cosine(20, 0.008, 0.999)?;
    for k in 0..20 {
        let posterior = schedule.posterior(k).unwrap();
        let here = schedule.alpha_bar()[k];
        let before = if k == 0 {
            1.0
        } else {
            schedule.alpha_bar()[k - 1]
        };
        let mean = posterior.x_0 + posterior.x_k * here.sqrt();
        close(mean, before.sqrt(), 1e-12);
        let variance = posterior.variance + posterior.x_k.powi(2) * (1.0 - here);
        close(variance, 1.0 - before, 1e-12);
    }
    assert_eq!(schedule.posterior(20), None);
    let first = schedule.posterior(0).unwrap();
    assert_eq!((first.x_k, first.variance), (0.0, 0.0));
    Ok(())
}

#[test]
fn schedules_that_add_no_noise_or_leave_no_data_are_refused() {
    for beta in [
        vec![],
        vec![0.1, 0.0],
        vec![1.0],
        vec![f64::NAN],
        vec![-0.1],
    ] {
        assert!(NoiseSchedule::from_beta(beta).is_err());
    }
    let error = NoiseSchedule::linear(5, 1.0, 0.1, 1.5)
        .unwrap_err()
        .to_string();
    assert!(error.contains("beta is 1.15 at step 3"), "{error}");
}

#[test]
fn noised_data_has_the_moments_of_its_step_and_gives_the_data_back() -> Result<()> {
    let device = Device::Cpu;
    let schedule = NoiseSchedule::cosine(20, 0.008, 0.999)?;
    let mut stream = Stream::new(1, "noise");
    let eps = random::normal(&mut stream, (2, ROWS), &device)?;
    let x_0 = Tensor::full(0.7f32, (2, ROWS), &device)?;
    for pair in [[0u32, 9], [14, 18]] {
        let k = Tensor::new(&pair, &device)?;
        let x_k = schedule.noised(&x_0, &eps, &k)?;
        for (row, k) in pair.into_iter().enumerate() {
            let share = schedule.alpha_bar()[k as usize];
            let (mean, variance) = moments(&x_k.get(row)?)?;
            let (left, rows) = (1.0 - share, ROWS as f64);
            close(mean, 0.7 * share.sqrt(), 4.0 * (left / rows).sqrt());
            close(variance, left, 4.0 * left * (2.0 / rows).sqrt());
        }
        let back = schedule.implied_x_0(&x_k, &eps, &k, 1.0)?;
        assert!(max_abs(&(back - &x_0)?)? < 1e-4);
        let clipped = schedule.implied_x_0(&x_k, &eps, &k, 0.5)?;
        assert_eq!(max_abs(&(clipped - 0.5)?)?, 0.0);
    }
    Ok(())
}

#[test]
fn steps_of_another_type_or_length_are_refused_by_name() -> Result<()> {
    let schedule = NoiseSchedule::linear(5, 1.0, 0.1, 0.5)?;
    let x = Tensor::zeros((3, 2), DType::F32, &Device::Cpu)?;
    for k in [
        Tensor::new(&[0f32, 1.0, 2.0], &Device::Cpu)?,
        Tensor::new(&[0u32, 1], &Device::Cpu)?,
    ] {
        let error = schedule.noised(&x, &x, &k).unwrap_err().to_string();
        assert!(error.contains("`k` has shape"), "{error}");
    }
    let beyond = Tensor::new(&[0u32, 1, 5], &Device::Cpu)?;
    assert!(schedule.noised(&x, &x, &beyond).is_err());
    Ok(())
}

/// The exact noise of data from `N(mean, std^2 I)`: `E[eps | x_k]`.
struct Gaussian<'a> {
    schedule: &'a NoiseSchedule,
    mean: f64,
    std: f64,
}

impl Field for Gaussian<'_> {
    fn value(&self, x: &Tensor, span: Span) -> Result<Tensor> {
        let share = self.schedule.alpha_bar()[span.from as usize];
        let variance = share * self.std.powi(2) + 1.0 - share;
        (x - share.sqrt() * self.mean)? * ((1.0 - share).sqrt() / variance)
    }
}

fn sampled(schedule: &NoiseSchedule, mean: f64, std: f64, bound: f64) -> Result<Tensor> {
    let field = Gaussian {
        schedule,
        mean,
        std,
    };
    let chain = ReverseChain {
        bound,
        ..ReverseChain::new(schedule)
    };
    let mut stream = Stream::new(2, "chain");
    let start = random::normal(&mut stream, ROWS, &Device::Cpu)?;
    chain.sample(&field, &start, |_| {
        random::normal(&mut stream, ROWS, &Device::Cpu)
    })
}

/// The chain's variance is exact in the limit of many steps; the posterior variance falls short of it by O(1 / T).
#[test]
fn exact_noise_of_a_gaussian_gives_its_mean_and_variance() -> Result<()> {
    let (mean, std) = (0.4, 0.3);
    let errors = [25, 100, 400].map(|steps| -> Result<f64> {
        let schedule = NoiseSchedule::cosine(steps, 0.008, 0.999)?;
        let (found, variance) = moments(&sampled(&schedule, mean, std, 100.0)?)?;
        close(found, mean, 4.0 * std / (ROWS as f64).sqrt());
        Ok(variance / (std * std) - 1.0)
    });
    let [coarse, medium, fine] = errors;
    let (coarse, medium, fine) = (coarse?, medium?, fine?);
    assert!(fine.abs() < 0.04, "variance is off by {fine}");
    assert!(coarse.abs() > 2.0 * medium.abs(), "{coarse}, {medium}");
    Ok(())
}

#[test]
fn a_single_point_is_hit_exactly_and_bounds_hold() -> Result<()> {
    let schedule = NoiseSchedule::cosine(20, 0.008, 0.999)?;
    let point = sampled(&schedule, 0.4, 0.0, 1.0)?;
    assert!(max_abs(&(point - 0.4)?)? < 1e-5);
    let outside = sampled(&schedule, 3.0, 0.1, 1.0)?;
    assert_eq!(max_abs(&(outside - 1.0)?)?, 0.0);
    Ok(())
}

struct Setting {
    net: VelocityNet,
    params: Params,
    obs: Tensor,
    start: Tensor,
}

/// Four states, three points each.
fn setting() -> Result<Setting> {
    let net = VelocityNet::new(&NetConfig::denoiser(5, 2, &[32, 32], 8, 24)?)?;
    let scheme = init::Init::TruncatedNormal { scale: 1.5 };
    let values = init::draw(net.layout(), scheme, &mut Stream::new(3, "init"));
    let device = Device::Cpu;
    Ok(Setting {
        params: Params::from_vec(net.layout().clone(), None, values, &device)?,
        obs: random::normal(&mut Stream::new(3, "obs"), (4, 5), &device)?,
        start: random::normal(&mut Stream::new(3, "start"), (4, 3, 2), &device)?,
        net,
    })
}

#[test]
fn many_points_per_state_are_the_points_one_by_one() -> Result<()> {
    let Setting {
        net,
        params,
        obs,
        start,
    } = setting()?;
    let (schedule, theta) = (
        NoiseSchedule::linear(6, 0.8, 1e-4, 0.999)?,
        params.detached(),
    );
    let chain = ReverseChain {
        start_std: 0.5,
        ..ReverseChain::new(&schedule)
    };
    let noise = |k: usize| {
        let mut stream = Stream::new(3, &format!("noise{k}"));
        random::normal(&mut stream, (4, 3, 2), &Device::Cpu)
    };
    let field = |precision| Candidates {
        net: &net,
        params: &theta,
        obs: &obs,
        precision,
    };
    let together = chain.sample(&field(Precision::F32), &start, noise)?;
    for p in 0..3 {
        let alone = |x: Tensor| x.narrow(1, p, 1)?.squeeze(1);
        let field = Conditional {
            net: &net,
            params: &theta,
            obs: &obs,
        };
        let one = chain.sample(&field, &alone(start.clone())?, |k| alone(noise(k)?))?;
        let error = max_abs(&(one - alone(together.clone())?)?)?;
        assert!(error < 1e-5, "point {p} differs by {error}");
    }
    let rough = chain.sample(&field(Precision::Bf16), &start, noise)?;
    let error = max_abs(&(rough - &together)?)?;
    assert!(error > 0.0 && error < 0.1, "bf16 differs by {error}");
    Ok(())
}

#[test]
fn start_scale_and_noise_reach_the_sample_and_all_stays_finite() -> Result<()> {
    let Setting {
        net,
        params,
        obs,
        start,
    } = setting()?;
    let (schedule, theta) = (NoiseSchedule::cosine(5, 0.008, 0.999)?, params.detached());
    let field = Candidates {
        net: &net,
        params: &theta,
        obs: &obs,
        precision: Precision::F32,
    };
    let plain = ReverseChain::new(&schedule);
    let half = ReverseChain {
        start_std: 0.5,
        ..plain
    };
    let mut asked = Vec::new();
    let still = |k: usize| {
        asked.push(k);
        start.zeros_like()
    };
    let reference = plain.sample(&field, &start, still)?;
    assert_eq!(asked, [4, 3, 2, 1], "the last step has no noise");
    let halved = half.sample(&field, &start, |_| start.zeros_like())?;
    let scaled = plain.sample(&field, &(&start * 0.5)?, |_| start.zeros_like())?;
    assert_eq!(max_abs(&(&halved - scaled)?)?, 0.0);
    assert!(max_abs(&(halved - &reference)?)? > 1e-3);
    let noisy = plain.sample(&field, &start, |_| start.ones_like())?;
    assert!(max_abs(&(noisy - &reference)?)? > 1e-3);
    let far = plain.sample(&field, &(&start * 1e6)?, |_| start.ones_like())?;
    assert!(max_abs(&far)? <= 1.0, "the bound holds for any start");
    let wrong = plain.sample(&field, &start, |_| start.narrow(1, 0, 1));
    assert!(wrong.unwrap_err().to_string().contains("`noise` has shape"));
    Ok(())
}

/// 70 % of the data around -0.5, the rest around 0.5, each with standard deviation 0.1.
fn bumps(stream: &mut Stream, rows: usize) -> Result<Tensor> {
    let side = random::uniform(stream, 0.0, 1.0, (rows, 1), &Device::Cpu)?;
    let centre = side.lt(0.7)?.to_dtype(DType::F32)?.affine(-1.0, 0.5)?;
    centre + (random::normal(stream, (rows, 1), &Device::Cpu)? * 0.1)?
}

fn trained(net: &VelocityNet, schedule: &NoiseSchedule, updates: usize) -> Result<Params> {
    let (rows, device) = (256, Device::Cpu);
    let mut stream = Stream::new(4, "training");
    let scheme = init::Init::TruncatedNormal { scale: 1.0 };
    let values = init::draw(net.layout(), scheme, &mut Stream::new(4, "init"));
    let params = Params::from_vec(net.layout().clone(), None, values, &device)?;
    let mut adam = Adam::new(&params, AdamConfig::default())?;
    let obs = Tensor::zeros((rows, 1), DType::F32, &device)?;
    for update in 0..updates {
        let x_0 = bumps(&mut stream, rows)?;
        let k = random::indices(&mut stream, schedule.n_steps() as u32, rows, &device)?;
        let eps = random::normal(&mut stream, (rows, 1), &device)?;
        let x_k = schedule.noised(&x_0, &eps, &k)?;
        let found = net.forward(params.tensor(), &obs, &x_k, [&k.to_dtype(DType::F32)?])?;
        let mut gradients = regression_loss(&found, &eps)?.backward()?;
        let missing = || candle_core::Error::Msg("no gradient".into());
        let gradient = gradients.remove(params.var()).ok_or_else(missing)?;
        let left = 1.0 - update as f64 / updates as f64;
        adam.step(&params, &gradient, 3e-3 * left)?;
    }
    Ok(params)
}

/// The exact noise of [`bumps`].
struct Bumps<'a>(&'a NoiseSchedule);

impl Field for Bumps<'_> {
    fn value(&self, x: &Tensor, span: Span) -> Result<Tensor> {
        let share = self.0.alpha_bar()[span.from as usize];
        let variance = share * 0.01 + 1.0 - share;
        let from = |centre: f64| x - share.sqrt() * centre;
        let odds = |centre: f64| (from(centre)?.sqr()? * (-0.5 / variance))?.exp();
        let (left, right) = ((odds(-0.5)? * 0.7)?, ((odds(0.5)? + 1e-30)? * 0.3)?);
        let sum = ((&left * from(-0.5)?)? + (&right * from(0.5)?)?)?;
        (sum / (left + right)?)? * ((1.0 - share).sqrt() / variance)
    }
}

fn generated(schedule: &NoiseSchedule, field: &impl Field) -> Result<[Tensor; 2]> {
    let mut stream = Stream::new(4, "sampling");
    let shape = (1, ROWS, 1);
    let start = random::normal(&mut stream, shape, &Device::Cpu)?;
    let x = ReverseChain::new(schedule).sample(field, &start, |_| {
        random::normal(&mut stream, shape, &Device::Cpu)
    })?;
    let x = x.flatten_all()?.to_vec1::<f32>()?;
    let (left, right): (Vec<f32>, Vec<f32>) = x.iter().partition(|x| **x < 0.0);
    let tensor = |bump: Vec<f32>| {
        let count = bump.len();
        Tensor::from_vec(bump, count, &Device::Cpu)
    };
    Ok([tensor(left)?, tensor(right)?])
}

/// Twenty steps with the posterior's variance make the bumps a little narrower than the data.
fn assert_bumps([left, right]: [Tensor; 2], tolerance: f64) -> Result<()> {
    close(left.elem_count() as f64 / ROWS as f64, 0.7, tolerance);
    for (bump, centre) in [(left, -0.5), (right, 0.5)] {
        let (mean, variance) = moments(&bump)?;
        close(mean, centre, tolerance);
        close(variance.sqrt(), 0.085, tolerance);
    }
    Ok(())
}

#[test]
fn exact_noise_of_two_bumps_gives_both_in_their_proportions() -> Result<()> {
    let schedule = NoiseSchedule::cosine(20, 0.008, 0.999)?;
    assert_bumps(generated(&schedule, &Bumps(&schedule))?, 0.03)
}

#[test]
fn a_trained_network_generates_two_bumps_too() -> Result<()> {
    let net = VelocityNet::new(&NetConfig::denoiser(1, 1, &[64, 64], 16, 32)?)?;
    let schedule = NoiseSchedule::cosine(20, 0.008, 0.999)?;
    let theta = trained(&net, &schedule, 4000)?.detached();
    let field = Candidates {
        net: &net,
        params: &theta,
        obs: &Tensor::zeros((1, 1), DType::F32, &Device::Cpu)?,
        precision: Precision::F32,
    };
    assert_bumps(generated(&schedule, &field)?, 0.05)
}
