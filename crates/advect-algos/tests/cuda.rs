//! Every algorithm on a CUDA device beside the CPU (`cargo xtask cuda-check` runs this on a stand-in for the driver where there is no GPU).
#![cfg(feature = "cuda")]

mod common;

use std::error::Error;

use advect_algos::registry;
use advect_kernels::cuda;
use advect_rl::{ActMode, Batch, StateDict};
use advect_rng::Stream;
use candle_core::{Device, Tensor};
use common::{batch, small_agent_on, state};

type TestResult<T = ()> = Result<T, Box<dyn Error>>;

/// Relative error of every array of the state after some updates; sums run in another order there.
const TOLERANCE: f64 = 1e-3;

fn on(device: &Device, batch: &Batch) -> TestResult<Batch> {
    let to = |x: &Tensor| x.to_device(device);
    Ok(Batch {
        obs: to(&batch.obs)?,
        act: to(&batch.act)?,
        reward: to(&batch.reward)?,
        next_obs: to(&batch.next_obs)?,
        terminated: to(&batch.terminated)?,
        truncated: to(&batch.truncated)?,
        ..batch.clone()
    })
}

/// The state after three updates, and actions then.
fn trained(name: &str, device: &Device) -> TestResult<(StateDict, Vec<Vec<f32>>)> {
    let mut agent = small_agent_on(name, 3, device)?;
    let mut stream = Stream::new(1, "batches");
    for _ in 0..3 {
        let metrics = agent.update(&on(device, &batch(&mut stream, 16)?)?)?;
        assert_eq!(metrics.first_non_finite(), None, "{name}");
    }
    let obs = on(device, &batch(&mut stream, 4)?)?.obs;
    let act = agent.act(&obs, ActMode::Explore)?.to_vec2()?;
    Ok((state(agent.as_ref())?, act))
}

fn relative_error(found: &[f32], expected: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let pairs = found.iter().zip(expected);
    let error: f64 = pairs.map(|(a, b)| square(f64::from(a - b))).sum();
    let size: f64 = expected.iter().map(|b| square(f64::from(*b))).sum();
    (error / size.max(1e-12)).sqrt()
}

#[test]
fn three_updates_of_every_algorithm_are_those_of_the_cpu() -> TestResult {
    let device = cuda::open()?;
    for name in registry::names() {
        let ((found, act), (expected, act_cpu)) =
            (trained(name, &device)?, trained(name, &Device::Cpu)?);
        let names = |state: &StateDict| state.iter().map(|(name, _)| name.to_owned()).collect();
        let (ours, theirs): (Vec<String>, Vec<String>) = (names(&found), names(&expected));
        assert_eq!(ours, theirs, "{name}");
        let arrays = ours.iter().filter(|entry| found.vec::<f32>(entry).is_ok());
        for entry in arrays {
            let error = relative_error(found.vec(entry)?, expected.vec(entry)?);
            assert!(error < TOLERANCE, "{name}: {entry} differs by {error}");
        }
        let error = relative_error(&act.concat(), &act_cpu.concat());
        assert!(error < TOLERANCE, "{name}: actions differ by {error}");
    }
    Ok(())
}

#[test]
fn two_runs_have_the_same_bits() -> TestResult {
    let device = cuda::open()?;
    for name in registry::names() {
        assert_eq!(trained(name, &device)?, trained(name, &device)?, "{name}");
    }
    Ok(())
}
