//! Every instruction set against f64 references.

use super::{Kernel, Level, Simd, available, math, run_at};
use crate::mlp::Activation;

const ALL: [Activation; 5] = [
    Activation::Relu,
    Activation::Tanh,
    Activation::Gelu,
    Activation::Silu,
    Activation::Mish,
];

/// Value, slope and second derivative of every input.
struct Evaluate<'a> {
    activation: Activation,
    x: &'a [f32],
}

impl Kernel for Evaluate<'_> {
    type Out = Vec<[f32; 3]>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Out {
        let mut out = Vec::new();
        for chunk in self.x.chunks_exact(16) {
            for at in (0..16).step_by(S::LANES) {
                let mut lanes = [[0.0_f32; 16]; 3];
                // SAFETY: chunks hold sixteen values, and LANES divides sixteen.
                unsafe {
                    let x = s.load(chunk[at..].as_ptr());
                    let (value, slope) = math::activate(s, self.activation, x);
                    s.store(lanes[0].as_mut_ptr(), value);
                    s.store(lanes[1].as_mut_ptr(), slope);
                    s.store(
                        lanes[2].as_mut_ptr(),
                        math::second_derivative(s, self.activation, x),
                    );
                }
                out.extend((0..S::LANES).map(|i| [lanes[0][i], lanes[1][i], lanes[2][i]]));
            }
        }
        out
    }
}

fn normal_cdf(x: f64) -> f64 {
    advect_rng::special::normal_cdf(x)
}

/// Value, slope and second derivative in f64, from stable closed forms.
fn reference(activation: Activation, x: f64) -> [f64; 3] {
    let gate = if x > 0.0 {
        1.0 / (1.0 + (-x).exp())
    } else {
        x.exp() / (1.0 + x.exp())
    };
    match activation {
        Activation::Relu => [x.max(0.0), f64::from(x > 0.0), 0.0],
        Activation::Tanh => {
            let y = x.tanh();
            let slope = x.cosh().powi(-2);
            [y, slope, -2.0 * y * slope]
        }
        Activation::Silu => {
            let rise = gate * (1.0 - gate);
            [
                x * gate,
                gate + x * rise,
                rise * (2.0 + x * (1.0 - 2.0 * gate)),
            ]
        }
        Activation::Gelu => {
            let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            [
                x * normal_cdf(x),
                normal_cdf(x) + x * density,
                density * (2.0 - x * x),
            ]
        }
        Activation::Mish => {
            let softplus = x.max(0.0) + (-x.abs()).exp().ln_1p();
            let (t, sech) = (softplus.tanh(), softplus.cosh().powi(-2));
            let t_dot = sech * gate;
            let t_dot2 = -2.0 * t * sech * gate * gate + sech * gate * (1.0 - gate);
            [x * t, t + x * t_dot, 2.0 * t_dot + x * t_dot2]
        }
    }
}

fn inputs() -> Vec<f32> {
    let mut x: Vec<f32> = (-400..400).map(|i| i as f32 * 0.05 + 0.013).collect();
    x.extend([
        1e-6, -1e-6, 1e-3, -1e-3, 30.0, -30.0, 85.0, -85.0, 200.0, -200.0, 700.0, -700.0, 1e4,
        -1e4, 1e6, -1e6,
    ]);
    x
}

#[test]
fn activations_and_their_derivatives_match_f64() {
    let x = inputs();
    for level in available() {
        for activation in ALL {
            for (x, got) in x.iter().zip(run_at(level, Evaluate { activation, x: &x })) {
                let want = reference(activation, f64::from(*x));
                for (order, (got, want)) in got.iter().zip(want).enumerate() {
                    let gap = (f64::from(*got) - want).abs();
                    // one part in a million of the value, plus what an f32 sum of terms of size |x| may lose
                    let allowed = 1e-6 * want.abs()
                        + 4e-7 * (1.0 + f64::from(x.abs()).min(8.0) * f64::from(order as u32));
                    assert!(
                        gap <= allowed,
                        "{level:?} {activation:?} order {order} at {x}: {got} for {want}"
                    );
                }
            }
        }
    }
}

#[test]
fn tanh_is_accurate_near_zero() {
    let x: Vec<f32> = (1..=16).map(|i| i as f32 * 1e-5).collect();
    for level in available() {
        for (x, got) in x.iter().zip(run_at(
            level,
            Evaluate {
                activation: Activation::Tanh,
                x: &x,
            },
        )) {
            let want = f64::from(*x).tanh();
            assert!(
                (f64::from(got[0]) / want - 1.0).abs() < 3e-7,
                "{level:?} {x}: {}",
                got[0]
            );
        }
    }
}

/// One bf16 dot product step and one rounding.
struct Bf16<'a> {
    a: &'a [f32; 32],
    b: &'a [f32; 32],
}

impl Kernel for Bf16<'_> {
    type Out = Vec<f32>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Vec<f32> {
        let (mut a, mut b, mut out) = ([0_u16; 32], [0_u16; 32], vec![0.0; 16]);
        // SAFETY: 32 values in, 32 halves or 16 words out, LANES divides sixteen.
        unsafe {
            for at in (0..32).step_by(S::LANES) {
                s.store_bf16(a.as_mut_ptr().add(at), s.load(self.a.as_ptr().add(at)));
                s.store_bf16(b.as_mut_ptr().add(at), s.load(self.b.as_ptr().add(at)));
            }
            for at in (0..16).step_by(S::LANES) {
                let a = s.load(a.as_ptr().cast::<f32>().add(at));
                let b = s.load(b.as_ptr().cast::<f32>().add(at));
                s.store(out.as_mut_ptr().add(at), s.dot_bf16(a, b, s.splat(1.0)));
            }
        }
        out
    }
}

#[test]
fn bf16_products_agree_between_instruction_sets() {
    let a: [f32; 32] = std::array::from_fn(|i| (i as f32 * 0.37).sin());
    let b: [f32; 32] = std::array::from_fn(|i| (i as f32 * 0.91).cos());
    let portable = run_at(Level::Portable, Bf16 { a: &a, b: &b });
    for level in available() {
        for (i, (x, y)) in portable
            .iter()
            .zip(run_at(level, Bf16 { a: &a, b: &b }))
            .enumerate()
        {
            let exact = 1.0
                + f64::from(a[2 * i]) * f64::from(b[2 * i])
                + f64::from(a[2 * i + 1]) * f64::from(b[2 * i + 1]);
            assert!((x - y).abs() < 1e-6, "{level:?}: {x} {y}");
            assert!(
                (f64::from(y) - exact).abs() < 2e-2,
                "{level:?}: {y} {exact}"
            );
        }
    }
}
