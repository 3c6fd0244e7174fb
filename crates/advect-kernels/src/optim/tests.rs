use super::host::{MomentsPass, UpdatePass};
use super::*;
use crate::simd::{available, run_at};

fn params(members: Option<usize>, values: Vec<f32>) -> Result<Params> {
    let mut layout = ParamLayout::new();
    layout.push("net.0.weight", &[2, 2]);
    layout.push("net.0.bias", &[2]);
    Params::from_vec(layout, members, values, &Device::Cpu)
}

fn gradient(step: usize, values: usize) -> Vec<f32> {
    let wave = |i: usize| ((7 * step + 3 * i) as f32 * 0.37).sin() * 2.0;
    (0..values).map(wave).collect()
}

/// The textbook recursion in f64.
struct Reference {
    config: AdamConfig,
    p: Vec<f64>,
    m: Vec<f64>,
    v: Vec<f64>,
    t: i32,
}

impl Reference {
    fn step(&mut self, grad: &[f32], lr: f64) {
        let AdamConfig {
            beta1,
            beta2,
            eps,
            weight_decay,
            clip_norm,
        } = self.config;
        self.t += 1;
        let norm = grad
            .iter()
            .map(|g| f64::from(*g).powi(2))
            .sum::<f64>()
            .sqrt();
        let scale = clip_norm.map_or(1.0, |c| (c / norm).min(1.0));
        for (i, g) in grad.iter().enumerate() {
            let g = f64::from(*g) * scale;
            self.m[i] = beta1 * self.m[i] + (1.0 - beta1) * g;
            self.v[i] = beta2 * self.v[i] + (1.0 - beta2) * g * g;
            let m_hat = self.m[i] / (1.0 - beta1.powi(self.t));
            let v_hat = self.v[i] / (1.0 - beta2.powi(self.t));
            self.p[i] -= lr * (m_hat / (v_hat.sqrt() + eps) + weight_decay * self.p[i]);
        }
    }
}

#[test]
fn adam_and_adamw_follow_the_textbook_recursion() -> Result<()> {
    for (weight_decay, clip_norm) in [(0.0, None), (0.05, Some(1.5)), (0.0, Some(1e6))] {
        let config = AdamConfig {
            weight_decay,
            clip_norm,
            eps: 1e-5,
            ..AdamConfig::default()
        };
        let start = vec![0.5, -1.0, 2.0, 0.1, -0.3, 0.7];
        let params = params(None, start.clone())?;
        let mut adam = Adam::new(&params, config)?;
        let p = start.iter().map(|x| f64::from(*x)).collect();
        let mut reference = Reference {
            config,
            p,
            m: vec![0.0; 6],
            v: vec![0.0; 6],
            t: 0,
        };
        for step in 0..200 {
            let grad = gradient(step, 6);
            let gradient = Tensor::new(grad.as_slice(), &Device::Cpu)?;
            let norm = adam.step(&params, &gradient, 0.01)?.to_scalar::<f64>()?;
            reference.step(&grad, 0.01);
            let expected = grad
                .iter()
                .map(|g| f64::from(*g).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!((norm - expected).abs() < 1e-12 * expected);
        }
        for (x, y) in params.to_vec()?.iter().zip(&reference.p) {
            assert!((f64::from(*x) - y).abs() < 5e-6, "{x} and {y}");
        }
    }
    Ok(())
}

#[test]
fn saved_state_continues_bit_for_bit() -> Result<()> {
    let config = AdamConfig {
        clip_norm: Some(1.0),
        ..AdamConfig::default()
    };
    let params = params(Some(2), vec![0.25; 12])?;
    let mut adam = Adam::new(&params, config)?;
    let step = |adam: &mut Adam, params: &Params, i: usize| {
        adam.step(
            params,
            &Tensor::from_vec(gradient(i, 12), (2, 6), &Device::Cpu)?,
            0.003,
        )
    };
    for i in 0..5 {
        step(&mut adam, &params, i)?;
    }
    let copy = params.duplicate()?;
    let mut resumed = Adam::new(&copy, config)?;
    resumed.load_state(&adam.state()?)?;
    for i in 5..9 {
        step(&mut adam, &params, i)?;
        step(&mut resumed, &copy, i)?;
    }
    assert_eq!(params.hash()?, copy.hash()?);
    assert_eq!(adam.state()?, resumed.state()?);
    assert_eq!(adam.steps(), 9);
    assert!(
        resumed
            .load_state(&AdamState {
                step: 0,
                m: vec![],
                v: vec![]
            })
            .is_err()
    );
    Ok(())
}

#[test]
fn a_bad_gradient_is_named_and_changes_nothing() -> Result<()> {
    let params = params(Some(2), vec![1.0; 12])?;
    let mut adam = Adam::new(&params, AdamConfig::default())?;
    let mut grad = gradient(1, 12);
    (grad[10], grad[11]) = (f32::NAN, f32::INFINITY);
    let (hash, state) = (params.hash()?, adam.state()?);
    let error = adam
        .step(&params, &Tensor::from_vec(grad, (2, 6), &Device::Cpu)?, 0.1)
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("index 10") && text.contains("net.0.bias of member 1"),
        "{text}"
    );
    assert_eq!((params.hash()?, adam.state()?), (hash, state));
    Ok(())
}

#[test]
fn wrong_shapes_and_constants_are_refused() -> Result<()> {
    let params = params(None, vec![1.0; 6])?;
    let mut adam = Adam::new(&params, AdamConfig::default())?;
    let grad = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
    assert!(
        adam.step(&params, &grad, 0.1)
            .unwrap_err()
            .to_string()
            .contains("`grad`")
    );
    for bad in [
        AdamConfig {
            beta1: 1.0,
            ..AdamConfig::default()
        },
        AdamConfig {
            eps: 0.0,
            ..AdamConfig::default()
        },
        AdamConfig {
            clip_norm: Some(0.0),
            ..AdamConfig::default()
        },
    ] {
        assert!(
            Adam::new(&params, bad)
                .unwrap_err()
                .to_string()
                .contains("AdamConfig")
        );
    }
    Ok(())
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let grad = gradient(3, 1003);
    let config = AdamConfig {
        weight_decay: 0.01,
        ..AdamConfig::default()
    };
    let results: Vec<(u64, Vec<f32>, Vec<f32>)> = available()
        .into_iter()
        .map(|level| {
            let sum = run_at(level, SquareSum(&grad));
            let mut moments = vec![0.125; 2 * grad.len()];
            run_at(
                level,
                MomentsPass(Moments::new(&config, 0.7), &mut moments, &grad),
            );
            let mut params = gradient(4, grad.len());
            run_at(
                level,
                UpdatePass(Update::new(&config, 0.01, 3), &mut params, &moments),
            );
            (sum.to_bits(), moments, params)
        })
        .collect();
    for pair in results.windows(2) {
        assert_eq!(pair[0], pair[1]);
    }
}
