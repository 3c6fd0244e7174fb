//! Weights, effective sample size and the temperature's controllers.

use advect_algos::candidates::{
    effective_fraction, effective_size, kl_from_uniform, resample, select_many, softmax_weights,
};
use advect_algos::fmer::dual::{Bounds, floored, smoothed, temperature_step};
use advect_algos::fmer::switches::Weighting;
use advect_algos::fmer::weights::{advantage, entropy_scores, solve_temperature, weights};
use advect_kernels::random;
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

const BOUNDS: Bounds = Bounds {
    min: 1e-3,
    max: 1e3,
};

fn documented() -> Result<Tensor> {
    Tensor::new(&[[-1f32, 0.0, 0.5, 2.0]], &Device::Cpu)
}

fn normals(stream: &mut Stream, rows: usize, k: usize, sigma: f64) -> Result<Tensor> {
    random::normal(stream, (rows, k), &Device::Cpu)? * sigma
}

fn fraction(scores: &Tensor, temperature: f64) -> Result<f64> {
    let fraction = effective_fraction(&softmax_weights(scores, temperature)?)?;
    Ok(f64::from(fraction.to_scalar::<f32>()?))
}

#[test]
fn documented_weights_and_sample_sizes() -> Result<()> {
    let a = documented()?;
    let found = weights(&a, 1.0, Weighting::Softmax)?.to_vec2::<f32>()?;
    for (w, expected) in found[0]
        .iter()
        .zip([0.035_354f32, 0.096_102, 0.158_445, 0.710_100])
    {
        assert!((w - expected).abs() < 1e-6, "{w} for {expected}");
    }
    for (t, expected) in [
        (1.0, 1.852_428f32),
        (2.0, 3.023_265),
        (4.0, 3.708_382),
        (0.25, 1.005_642),
    ] {
        let ess = effective_size(&softmax_weights(&a, t)?)?.to_vec1::<f32>()?[0];
        assert!(
            (ess - expected).abs() < 2e-6,
            "T = {t}: {ess} for {expected}"
        );
    }
    let solved = solve_temperature(&a, 0.5, BOUNDS)?;
    assert!((solved - 1.094_887).abs() < 1e-6, "{solved}");
    Ok(())
}

#[test]
fn a_target_out_of_reach_gives_an_end_of_the_interval() -> Result<()> {
    let a = documented()?;
    assert!((solve_temperature(&a, 1.0, BOUNDS)? - 1e3).abs() < 1e-6);
    assert!((solve_temperature(&a, 0.1, BOUNDS)? - 1e-3).abs() < 1e-9);
    Ok(())
}

#[test]
fn every_weighting_is_what_it_says() -> Result<()> {
    let a = documented()?;
    let shifted = advantage(&(&a + 7.0)?)?.to_vec2::<f32>()?;
    assert!(shifted[0].iter().sum::<f32>().abs() < 1e-5);
    let top = weights(&a, 1.0, Weighting::Top1)?.to_vec2::<f32>()?;
    assert_eq!(top, [[0.0, 0.0, 0.0, 1.0]]);
    let plain = weights(&a, 2.0, Weighting::Unnormalised)?.to_vec2::<f32>()?;
    assert!(
        (plain[0][0] - (-0.5f32).exp()).abs() < 1e-6 && (plain[0][3] - 1f32.exp()).abs() < 1e-5
    );
    let kl = kl_from_uniform(&Tensor::new(&[[0f32, 1.0], [0.5, 0.5]], &Device::Cpu)?)?;
    let kl = kl.to_vec1::<f32>()?;
    assert!(
        (kl[0] - 2f32.ln()).abs() < 1e-6 && kl[1].abs() < 1e-6,
        "{kl:?}"
    );
    Ok(())
}

/// max E[A] + alpha H - T KL over the simplex: any other distribution over the candidates scores less.
#[test]
fn entropy_weights_maximise_the_regularised_objective() -> Result<()> {
    let (t, alpha) = (0.7f64, 0.3f64);
    let a = [-1.0f64, 0.0, 0.5, 2.0];
    let old = [0.4f64, 0.3, 0.2, 0.1];
    let objective = |p: &[f64]| -> f64 {
        (0..4)
            .map(|k| p[k] * (a[k] - alpha * p[k].ln() - t * (p[k] / old[k]).ln()))
            .sum()
    };
    // The candidates are drawn from `old`, so their weights are p / old up to a factor.
    let log_old = Tensor::new(&[old.map(|p| p.ln() as f32)], &Device::Cpu)?;
    let scores = entropy_scores(&documented()?, &log_old, alpha)?;
    let w = softmax_weights(&scores, t + alpha)?.to_vec2::<f32>()?;
    let mass: Vec<f64> = (0..4).map(|k| f64::from(w[0][k]) * old[k]).collect();
    let total: f64 = mass.iter().sum();
    let best: Vec<f64> = mass.iter().map(|m| m / total).collect();
    for (from, to) in [(0, 1), (1, 2), (2, 3), (3, 0), (2, 0)] {
        for step in [1e-3, -1e-3] {
            let mut other = best.clone();
            other[from] -= step;
            other[to] += step;
            assert!(
                objective(&other) < objective(&best),
                "{from} to {to} by {step}"
            );
        }
    }
    Ok(())
}

/// fmer.md section 6.2, Gaussian advantages: T over sigma, then ESS/K for K = 8, 16, 32, 64.
const CALIBRATION: [(f64, [f64; 4]); 5] = [
    (0.6, [0.400, 0.306, 0.238, 0.191]),
    (0.833, [0.514, 0.433, 0.375, 0.333]),
    (1.0, [0.585, 0.517, 0.469, 0.434]),
    (1.2, [0.656, 0.602, 0.565, 0.540]),
    (1.67, [0.774, 0.743, 0.724, 0.713]),
];

#[test]
fn sample_sizes_of_gaussian_advantages_match_the_table() -> Result<()> {
    let mut stream = Stream::new(0, "advantages");
    for (column, k) in [8usize, 16, 32, 64].into_iter().enumerate() {
        let a = normals(&mut stream, 20_000, k, 1.0)?;
        for (t, row) in CALIBRATION {
            let (found, expected) = (fraction(&a, t)?, row[column]);
            assert!(
                (found - expected).abs() < 5e-3,
                "K = {k}, T = {t}: {found} for {expected}"
            );
        }
    }
    Ok(())
}

/// Mean ESS/K of the last steps and the temperature after them; sigma is 2, K is 16.
fn settle(mut step: impl FnMut(f64, &Tensor) -> Result<f64>) -> Result<(f64, f64)> {
    let (steps, last) = (1500, 200);
    let mut stream = Stream::new(1, "advantages");
    let (mut log_t, mut sum) = (10f64.ln(), 0.0);
    for i in 0..steps {
        let a = normals(&mut stream, 64, 16, 2.0)?;
        if i >= steps - last {
            sum += fraction(&a, log_t.exp())? / last as f64;
        }
        log_t = step(log_t, &a)?;
    }
    Ok((sum, log_t.exp()))
}

#[test]
fn both_controllers_settle_on_the_target() -> Result<()> {
    let target = 0.517; // T / sigma = 1 in the table
    let integral = settle(|log_t, a| {
        let ess = fraction(a, log_t.exp())?;
        temperature_step(&log_t.into(), &ess.into(), target, 0.02, BOUNDS)?.read()
    })?;
    let bisection = settle(|log_t, a| {
        let solved = solve_temperature(a, target, BOUNDS)?;
        smoothed(&log_t.into(), solved, 0.05)?.read()
    })?;
    for (ess, t) in [integral, bisection] {
        assert!((ess - target).abs() < 0.02, "ESS/K settles at {ess}");
        assert!((t / 2.0 - 1.0).abs() < 0.06, "T settles at {t}");
    }
    Ok(())
}

#[test]
fn the_temperature_stops_at_its_floor_when_advantages_are_noise() -> Result<()> {
    let mut stream = Stream::new(2, "critics");
    let (mut log_t, kappa) = (0.0, 1.5);
    let mut floor = 0.0;
    for _ in 0..1000 {
        let q1 = normals(&mut stream, 64, 16, 0.1)?;
        let q2 = normals(&mut stream, 64, 16, 0.1)?;
        let gap = f64::from((&q1 - &q2)?.abs()?.mean_all()?.to_scalar::<f32>()?);
        let ess = fraction(&advantage(&q1.minimum(&q2)?)?, f64::exp(log_t))?;
        let moved = temperature_step(&log_t.into(), &ess.into(), 0.5, 0.02, BOUNDS)?;
        log_t = floored(&moved, kappa, &gap.into())?.read()?;
        floor = kappa * gap;
        assert!(log_t.exp() >= floor * (1.0 - 1e-12));
    }
    assert!(
        log_t.exp() < 1.2 * floor,
        "{} for a floor of {floor}",
        log_t.exp()
    );
    Ok(())
}

#[test]
fn rows_are_drawn_by_their_weights() -> Result<()> {
    let device = Device::Cpu;
    let w = Tensor::new(&[[0.5f32, 0.0, 0.3, 0.2], [0.0, 0.0, 0.0, 1.0]], &device)?;
    let count = 1000;
    let levels: Vec<f32> = (0..2 * count)
        .map(|i| (i % count) as f32 / count as f32)
        .collect();
    let index = resample(&w, &Tensor::from_vec(levels, (2, count), &device)?)?;
    let drawn = index.to_vec2::<u32>()?;
    let share = |row: &[u32], k| row.iter().filter(|i| **i == k).count();
    for (k, expected) in [500usize, 0, 300, 200].into_iter().enumerate() {
        let found = share(&drawn[0], k as u32);
        assert!(
            found.abs_diff(expected) <= 1,
            "candidate {k}: {found} of {count}"
        );
    }
    assert!(drawn[1].iter().all(|i| *i == 3));
    let latents = Tensor::arange(0f32, 16.0, &device)?.reshape((2, 4, 2))?;
    let picked = select_many(&latents, &Tensor::new(&[[2u32, 0], [3, 3]], &device)?)?;
    assert_eq!(
        picked.to_vec3::<f32>()?,
        [[[4.0, 5.0], [0.0, 1.0]], [[14.0, 15.0], [14.0, 15.0]]]
    );
    Ok(())
}
