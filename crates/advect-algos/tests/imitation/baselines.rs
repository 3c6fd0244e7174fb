//! GAIL, WAIL, VAIL, AIRL and DRAIL: their losses, and that each learns to tell a ring from a disc.

use std::error::Error;

use advect_algos::imitation::airl::AirlConfig;
use advect_algos::imitation::density::Noise;
use advect_algos::imitation::drail::DrailConfig;
use advect_algos::imitation::gail::GailConfig;
use advect_algos::imitation::scorer::Scorer;
use advect_algos::imitation::vail::{Codes, VailConfig};
use advect_algos::imitation::wail::{WailConfig, transport_loss};
use advect_algos::imitation::{Method, PlainConfig, RewardModel};
use advect_kernels::optim::AdamConfig;
use advect_rng::Stream;
use candle_core::{Device, Tensor};

use super::TestResult;
use super::ring::{Pupil, RING, Rows, disc, learn, learn_from, logits, mean_logit, ring};
use super::rollouts::{every_changes, shorten};

fn plain() -> PlainConfig {
    let mut config = PlainConfig {
        disc_hidden: vec![32, 32],
        ..PlainConfig::default()
    };
    shorten(&mut config.imitation, &mut config.student);
    config
}

fn airl() -> AirlConfig {
    AirlConfig {
        plain: plain(),
        ..AirlConfig::default()
    }
}

fn vail() -> VailConfig {
    VailConfig {
        plain: plain(),
        ..VailConfig::default()
    }
}

fn wail() -> WailConfig {
    WailConfig {
        plain: plain(),
        ..WailConfig::default()
    }
}

fn drail() -> DrailConfig {
    let mut config = DrailConfig {
        width: 64,
        depth: 3,
        diffusion_steps: 100,
        reward_draws: 2,
        ..DrailConfig::default()
    };
    shorten(&mut config.imitation, &mut config.student);
    config.imitation.disc_epochs = 1;
    config
}

/// The mean logit on the ring and that inside it after some steps.
fn told_apart<C: Method>(config: &C, steps: usize) -> Result<[f32; 2], Box<dyn Error>> {
    let mut model = config.model(RING, 0, &Device::Cpu)?;
    learn(&mut model, steps)?;
    logits(&mut model)
}

#[test]
fn plain_discriminators_tell_the_ring_from_its_middle() -> TestResult {
    let gail = GailConfig { plain: plain() };
    for (name, [on, inside]) in [
        ("gail", told_apart(&gail, 1000)?),
        ("vail", told_apart(&vail(), 1000)?),
    ] {
        assert!(
            on > 0.1 && inside < -0.3,
            "{name}: {on} on, {inside} inside"
        );
    }
    // a score whose slope is held at one has no room to saturate, and a potential has no zero
    for (name, [on, inside]) in [
        ("airl", told_apart(&airl(), 1000)?),
        ("wail", told_apart(&wail(), 1000)?),
    ] {
        assert!(on > inside + 0.3, "{name}: {on} on, {inside} inside");
    }
    Ok(())
}

/// Half of a disc of radius 2 on one side of a line through its centre.
fn half(side: f64, stream: &mut Stream, rows: usize) -> candle_core::Result<Tensor> {
    let x = disc(2.0, stream, rows)?;
    let first = (x.narrow(1, 0, 1)?.abs()? * side)?;
    Tensor::cat(&[&first, &x.narrow(1, 1, 1)?], 1)?.contiguous()
}

/// DRAIL has no generative loss that tells its labels apart, so that it starts at a saddle; rows with other means lead off it.
#[test]
fn drail_tells_two_halves_of_a_disc() -> TestResult {
    let mut model = drail().model(RING, 0, &Device::Cpu)?;
    let (theirs, ours): (Rows, Rows) = (
        |stream, rows| half(1.0, stream, rows),
        |stream, rows| half(-1.0, stream, rows),
    );
    learn_from(&mut model, 600, [theirs, ours])?;
    let mut stream = Stream::new(2, "halves");
    let expert = mean_logit(&mut model, &theirs(&mut stream, 256)?)?;
    let agent = mean_logit(&mut model, &ours(&mut stream, 256)?)?;
    assert!(expert > 1.0 && agent < -1.0, "{expert} and {agent}");
    Ok(())
}

fn scorer() -> candle_core::Result<Scorer> {
    Scorer::new(
        "test",
        &[16, 16],
        RING,
        AdamConfig::default(),
        3,
        &Device::Cpu,
    )
}

/// The penalty from central differences of the score.
fn differenced_penalty(scorer: &Scorer, x: &Tensor) -> candle_core::Result<f32> {
    let (step, rows) = (1e-2, x.dim(0)?);
    let slope = |axis: usize| -> candle_core::Result<Tensor> {
        let mut shift = vec![0f32; 2];
        shift[axis] = step;
        let shift = Tensor::new(shift, &Device::Cpu)?;
        let (up, down) = (x.broadcast_add(&shift)?, x.broadcast_sub(&shift)?);
        (scorer.score(&up)? - scorer.score(&down)?)? / f64::from(2.0 * step)
    };
    let norm = (slope(0)?.sqr()? + slope(1)?.sqr()?)?.sqrt()?;
    let sum = (norm - 1.0)?.sqr()?.sum_all()?.to_scalar::<f32>()?;
    Ok(sum / rows as f32)
}

#[test]
fn gradient_penalty_and_its_gradient_are_those_of_differences() -> TestResult {
    let scorer = scorer()?;
    let x = disc(2.0, &mut Stream::new(0, "x"), 32)?;
    let penalty = scorer.gradient_penalty(&x)?;
    let (found, expected) = (
        penalty.to_scalar::<f32>()?,
        differenced_penalty(&scorer, &x)?,
    );
    assert!((found - expected).abs() < 1e-4, "{found} {expected}");

    let gradients = penalty.backward()?;
    let gradient = gradients.get(scorer.params().var()).ok_or("no gradient")?;
    let (gradient, values) = (gradient.to_vec1::<f32>()?, scorer.params().to_vec()?);
    // the steepest direction, so that the difference is far above its rounding
    let norm = gradient.iter().map(|g| g * g).sum::<f32>().sqrt();
    let at = |step: f32| -> Result<f32, Box<dyn Error>> {
        let moved: Vec<f32> = values
            .iter()
            .zip(&gradient)
            .map(|(p, g)| p + step * g / norm)
            .collect();
        scorer.params().set_from_slice(&moved)?;
        Ok(scorer.gradient_penalty(&x)?.to_scalar::<f32>()?)
    };
    let slope = (at(2e-3)? - at(-2e-3)?) / 4e-3;
    assert!((slope - norm).abs() < 1e-2 * norm, "{slope} {norm}");
    Ok(())
}

/// The student's density is taken off the score.
#[test]
fn airls_logit_knows_the_students_density() -> TestResult {
    let (pupil, x) = (Pupil::new()?, ring(&mut Stream::new(0, "x"), 16)?);
    let of = |log_prob_coef| -> candle_core::Result<Vec<f32>> {
        let config = AirlConfig {
            log_prob_coef,
            ..airl()
        };
        let mut model = config.model(RING, 0, &Device::Cpu)?;
        model.logits(&x, &pupil.student())
    };
    let acts = x.narrow(1, 1, 1)?.flatten_all()?.to_vec1::<f32>()?;
    for ((with, without), act) in of(1.0)?.into_iter().zip(of(0.0)?).zip(acts) {
        let log_prob = -0.5 * act * act - 0.5 * std::f32::consts::TAU.ln();
        assert!(
            (without - with - log_prob).abs() < 1e-5,
            "{without} {with} {log_prob}"
        );
    }
    Ok(())
}

#[test]
fn wails_loss_is_that_of_two_pairs() -> TestResult {
    let device = Device::Cpu;
    let (theirs, ours) = (
        Tensor::new(&[2f32, 1.0], &device)?,
        Tensor::new(&[0.5f32, -1.0], &device)?,
    );
    let expert = Tensor::new(&[[3f32, 4.0], [1.0, 1.0]], &device)?;
    let agent = Tensor::new(&[[0f32, 0.0], [1.0, 0.0]], &device)?;
    // gains 1.5 and 2, distances 5 and 1
    for (one_sided, excess) in [(false, 3.5f32.powi(2) + 1.0), (true, 1.0)] {
        let found = transport_loss((&theirs, &expert), (&ours, &agent), (0.01, one_sided))?;
        let (found, expected) = (found.to_scalar::<f32>()?, excess / 2.0 / 0.04 - 1.75);
        assert!((found - expected).abs() < 1e-3, "{found} {expected}");
    }
    Ok(())
}

#[test]
fn vails_divergence_is_that_of_gaussians() -> TestResult {
    let device = Device::Cpu;
    let codes = Codes {
        mean: Tensor::new(&[[0f32, 0.5], [0.0, 0.0]], &device)?,
        std: Tensor::new(&[[1f32, 0.5], [1.0, 1.0]], &device)?,
    };
    let expected = 0.5 * ((0.25 + 0.25 - 1.0) / 2.0 + 2f32.ln());
    assert!((codes.divergence()?.to_scalar::<f32>()? - expected).abs() < 1e-6);
    Ok(())
}

/// Rows with shared noise differ in the label only, and a network of zeros does not see it.
#[test]
fn drail_without_weights_cannot_tell() -> TestResult {
    let (pupil, x) = (Pupil::new()?, ring(&mut Stream::new(0, "x"), 16)?);
    let of = |noise| -> Result<Vec<f32>, Box<dyn Error>> {
        let mut model = DrailConfig { noise, ..drail() }.model(RING, 0, &Device::Cpu)?;
        let zeros = vec![0.0; model.params().layout().len()];
        model.params().set_from_slice(&zeros)?;
        Ok(model.logits(&x, &pupil.student())?)
    };
    assert!(of(Noise::Shared)?.iter().all(|l| *l == 0.0));
    assert!(of(Noise::Independent)?.iter().any(|l| l.abs() > 0.1));
    Ok(())
}

/// Every switch of a discriminator changes what an iteration does.
#[test]
fn every_switch_of_a_baseline_changes_an_iteration() -> TestResult {
    every_changes(&airl(), &["log_prob_coef = 0.01", "gradient_penalty = 0.0"])?;
    // at the start no gain is above its distance
    let two_sided = WailConfig {
        one_sided: false,
        ..wail()
    };
    every_changes(
        &two_sided,
        &["epsilon = 1.0", "one_sided = true", "weight_clip = 0.01"],
    )?;
    every_changes(
        &vail(),
        &[
            "code_dim = 8",
            "bottleneck_coef = 1.0",
            "sample_code = false",
        ],
    )?;
    every_changes(
        &drail(),
        &[
            "width = 32",
            "depth = 2",
            "label_dim = 1",
            "diffusion_steps = 50",
            "noise = \"independent\"",
            "reward_draws = 1",
        ],
    )
}
