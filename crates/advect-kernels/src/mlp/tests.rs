//! The fused perceptron against plain candle operations and finite differences, at every instruction set.

use candle_core::{Device, Result, Tensor, Var};

use super::{Activation, Mlp, Precision};
use crate::dense::Context;
use crate::params::{ParamLayout, Params};
use crate::tests::{ALL, activate, draw, drawn_params, error, hashes};
use advect_rng::Stream;

fn params(mlp: &Mlp, members: Option<usize>, stream: &mut Stream) -> Params {
    let mut layout = ParamLayout::new();
    mlp.push_layout(&mut layout, "net");
    drawn_params(layout, members, stream)
}

/// The same network from candle's own operations.
fn plain(mlp: &Mlp, params: &Tensor, x: &Tensor) -> Result<Tensor> {
    let (mut h, mut at) = (x.clone(), 0);
    let last = mlp.sizes().len() - 2;
    for (i, w) in mlp.sizes().windows(2).enumerate() {
        let weight = params.narrow(0, at, w[0] * w[1])?.reshape((w[1], w[0]))?;
        let bias = params.narrow(0, at + w[0] * w[1], w[1])?;
        at += (w[0] + 1) * w[1];
        h = h.matmul(&weight.t()?)?.broadcast_add(&bias)?;
        if i < last {
            h = activate(mlp.activation(), &h)?;
        }
    }
    Ok(h)
}

#[test]
fn forward_and_gradients_match_plain_candle() -> Result<()> {
    for (case, sizes) in [
        vec![5, 7],
        vec![3, 40, 1],
        vec![23, 64, 33, 6],
        vec![9, 48, 3, 20],
    ]
    .iter()
    .enumerate()
    {
        for activation in ALL {
            let stream = &mut Stream::new(case as u64, "fused");
            let mlp = Mlp::new(sizes, activation)?;
            let params = params(&mlp, None, stream);
            let x = Var::from_tensor(&draw(stream, &[37, sizes[0]], 1.0))?;
            let weight = draw(stream, &[37, mlp.output_dim()], 1.0);
            let fused = mlp.forward(params.tensor(), &x)?;
            let oracle = plain(&mlp, params.tensor(), &x)?;
            assert!(
                error(&fused, &oracle) < 2e-6,
                "{sizes:?} {activation:?} {}",
                error(&fused, &oracle)
            );
            let (fused, oracle) = (
                (fused * &weight)?.sum_all()?.backward()?,
                (oracle * &weight)?.sum_all()?.backward()?,
            );
            for var in [params.tensor(), x.as_tensor()] {
                let (a, b) = (fused.get(var).unwrap(), oracle.get(var).unwrap());
                assert!(
                    error(a, b) < 2e-5,
                    "{sizes:?} {activation:?} {}",
                    error(a, b)
                );
            }
        }
    }
    Ok(())
}

#[test]
fn an_ensemble_is_its_members() -> Result<()> {
    let stream = &mut Stream::new(1, "ensemble");
    let mlp = Mlp::new(&[11, 32, 32, 1], Activation::Mish)?;
    let params = params(&mlp, Some(3), stream);
    let x = Var::from_tensor(&draw(stream, &[50, 11], 1.0))?;
    let y = mlp.forward(params.tensor(), &x)?;
    assert_eq!(y.dims(), [3, 50, 1]);
    let grads = y.sqr()?.sum_all()?.backward()?;
    let mut grad_x = x.zeros_like()?;
    for member in 0..3 {
        let single = Var::from_tensor(&params.detached().get(member)?)?;
        let y_single = mlp.forward(&single, &x)?;
        assert_eq!(error(&y.get(member)?, &y_single), 0.0);
        let single_grads = y_single.sqr()?.sum_all()?.backward()?;
        let (all, own) = (
            grads.get(params.tensor()).unwrap().get(member)?,
            single_grads.get(&single).unwrap(),
        );
        assert_eq!(error(&all, own), 0.0);
        grad_x = (grad_x + single_grads.get(&x).unwrap())?;
    }
    assert!(error(grads.get(&x).unwrap(), &grad_x) < 1e-6);
    Ok(())
}

#[test]
fn a_shared_pass_equals_the_concatenated_one() -> Result<()> {
    for sizes in [vec![12, 40, 40, 1], vec![12, 33, 5], vec![12, 7]] {
        let stream = &mut Stream::new(2, "shared");
        let mlp = Mlp::new(&sizes, Activation::Mish)?;
        let params = params(&mlp, Some(2), stream);
        let (context, own) = (draw(stream, &[9, 8], 1.0), draw(stream, &[9, 29, 4], 1.0));
        for slot in [0, 3, 8] {
            let wide = context.unsqueeze(1)?.broadcast_as((9, 29, 8))?;
            let x = Tensor::cat(
                &[
                    &wide.narrow(2, 0, slot)?,
                    &own,
                    &wide.narrow(2, slot, 8 - slot)?,
                ],
                2,
            )?;
            let oracle = mlp.forward(params.tensor(), &x.reshape((9 * 29, 12))?.detach())?;
            let parts = (
                context.narrow(1, 0, slot)?,
                context.narrow(1, slot, 8 - slot)?,
            );
            let shared = Context {
                before: &[&parts.0],
                behind: &[&parts.1],
            };
            let fused = mlp.forward_shared(params.tensor(), shared, &own, Precision::F32)?;
            assert_eq!(fused.dims(), [2, 9, 29, mlp.output_dim()]);
            assert!(error(&fused, &oracle) < 1e-6);
            let coarse = mlp.forward_shared(params.tensor(), shared, &own, Precision::Bf16)?;
            assert!(
                error(&coarse, &oracle) < 2e-2,
                "{}",
                error(&coarse, &oracle)
            );
        }
    }
    Ok(())
}

#[test]
fn tangents_match_central_differences() -> Result<()> {
    for activation in ALL {
        let stream = &mut Stream::new(3, "tangent");
        let mlp = Mlp::new(&[10, 24, 24, 4], activation)?;
        let params = params(&mlp, None, stream);
        let (x, tangent) = (draw(stream, &[31, 10], 1.0), draw(stream, &[31, 10], 1.0));
        let (y, y_dot) = mlp.jvp(params.tensor(), &x, &tangent)?;
        assert_eq!(error(&y, &mlp.forward(params.tensor(), &x)?), 0.0);
        let step = 1e-3;
        let at = |sign: f64| -> Result<Tensor> {
            mlp.forward(params.tensor(), &(&x + (&tangent * (sign * step))?)?)
        };
        let difference = ((at(1.0)? - at(-1.0)?)? / (2.0 * step))?;
        let tolerance = if activation == Activation::Relu {
            2e-2
        } else {
            1e-3
        };
        assert!(
            error(&y_dot, &difference) < tolerance,
            "{activation:?} {}",
            error(&y_dot, &difference)
        );
    }
    Ok(())
}

#[test]
fn a_pass_that_was_kept_pushes_tangents_forward() -> Result<()> {
    for sizes in [vec![10, 24, 18, 4], vec![10, 30], vec![10, 24, 6]] {
        let stream = &mut Stream::new(13, "pushforward");
        let mlp = Mlp::new(&sizes, Activation::Mish)?;
        let params = params(&mlp, Some(2), stream);
        let (x, x_dot) = (
            draw(stream, &[2, 500, 10], 1.0),
            draw(stream, &[2, 500, 10], 1.0),
        );
        let (y, pullback) = mlp.forward_with_pullback(params.tensor(), &x)?;
        let along = pullback.pushforward(&x_dot)?;
        let both = Tensor::stack(&[&x, &x_dot], 0)?;
        let (value, dot, at_once) = mlp.forward_with_tangent(params.tensor(), &both)?;
        assert_eq!((error(&value, &y), error(&dot, &along)), (0.0, 0.0));
        let gradient = pullback.params(&y)?;
        assert_eq!(error(&at_once.params(&y)?, &gradient), 0.0);
        // the backward pass has taken what was kept
        assert_eq!(error(&pullback.pushforward(&x_dot)?, &along), 0.0);
        for member in 0..2 {
            let own = params.tensor().get(member)?;
            let (_, y_dot) = mlp.jvp(&own, &x.get(member)?, &x_dot.get(member)?)?;
            assert_eq!(error(&along.get(member)?, &y_dot), 0.0);
        }
        assert!(pullback.pushforward(&x_dot.get(0)?).is_err());
        let refused = mlp.forward_with_tangent(params.tensor(), &both.get(0)?);
        assert!(refused.unwrap_err().to_string().contains("`both`"));
    }
    Ok(())
}

#[test]
fn the_jacobian_consists_of_tangents() -> Result<()> {
    for sizes in [vec![9, 20, 20, 3], vec![9, 3], vec![9, 20, 6]] {
        let stream = &mut Stream::new(4, "jacobian");
        let mlp = Mlp::new(&sizes, Activation::Silu)?;
        let params = params(&mlp, None, stream);
        let x = draw(stream, &[14, 9], 1.0);
        let (y, jacobian) = mlp.jacobian(params.tensor(), &x, 2, 3)?;
        assert_eq!(error(&y, &mlp.forward(params.tensor(), &x)?), 0.0);
        for column in 0..3 {
            let unit: Vec<f32> = (0..9).map(|i| f32::from(i == 2 + column)).collect();
            let unit = Tensor::from_vec(unit, (1, 9), &Device::Cpu)?
                .broadcast_as((14, 9))?
                .contiguous()?;
            let (_, y_dot) = mlp.jvp(params.tensor(), &x, &unit)?;
            assert!(error(&jacobian.narrow(2, column, 1)?, &y_dot) < 1e-6);
        }
    }
    Ok(())
}

#[test]
fn the_gradient_of_a_tangent_matches_central_differences() -> Result<()> {
    for activation in [
        Activation::Tanh,
        Activation::Gelu,
        Activation::Silu,
        Activation::Mish,
    ] {
        let stream = &mut Stream::new(5, "second");
        let mlp = Mlp::new(&[4, 6, 5, 2], activation)?;
        let params = params(&mlp, None, stream);
        let (x, tangent) = (
            Var::from_tensor(&draw(stream, &[8, 4], 1.0))?,
            Var::from_tensor(&draw(stream, &[8, 4], 1.0))?,
        );
        let weights = (draw(stream, &[8, 2], 1.0), draw(stream, &[8, 2], 1.0));
        let value = |p: &Tensor, x: &Tensor, t: &Tensor| -> Result<Tensor> {
            let (y, y_dot) = mlp.jvp_tracked(p, x, t)?;
            (y * &weights.0)?.sum_all()? + (y_dot * &weights.1)?.sum_all()?
        };
        let grads = value(params.tensor(), &x, &tangent)?.backward()?;
        for (name, var) in [
            ("params", params.tensor()),
            ("x", x.as_tensor()),
            ("tangent", tangent.as_tensor()),
        ] {
            let direction = draw(stream, var.dims(), 1.0);
            let step = 2e-3;
            let at = |sign: f64| -> Result<f64> {
                let moved = (var.detach() + (&direction * (sign * step))?)?;
                let pick = |candidate: &Tensor, own: &str| {
                    if own == name {
                        moved.clone()
                    } else {
                        candidate.detach()
                    }
                };
                let value = value(
                    &pick(params.tensor(), "params"),
                    &pick(&x, "x"),
                    &pick(&tangent, "tangent"),
                )?;
                Ok(f64::from(value.to_scalar::<f32>()?))
            };
            let difference = (at(1.0)? - at(-1.0)?) / (2.0 * step);
            let analytic = (grads.get(var).unwrap() * &direction)?
                .sum_all()?
                .to_scalar::<f32>()?;
            let gap = (f64::from(analytic) - difference).abs();
            assert!(
                gap < 5e-3 * (1.0 + difference.abs()),
                "{activation:?} {name}: {analytic} {difference}"
            );
        }
    }
    Ok(())
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() -> Result<()> {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| -> Result<Vec<u64>> {
            let stream = &mut Stream::new(6, "threads");
            let mlp = Mlp::new(&[23, 64, 64, 1], Activation::Mish)?;
            let params = params(&mlp, Some(2), stream);
            let x = draw(stream, &[700, 23], 1.0);
            let y = mlp.forward(params.tensor(), &x)?;
            let grads = y.sqr()?.mean_all()?.backward()?;
            let (context, own) = (
                draw(stream, &[30, 17], 1.0),
                draw(stream, &[30, 41, 6], 1.0),
            );
            let parts = [&context];
            let context = Context::before(&parts);
            let scores = mlp.forward_shared(params.tensor(), context, &own, Precision::Bf16)?;
            hashes(&[&y, grads.get(params.tensor()).unwrap(), &scores])
        })
    };
    assert_eq!(run(1)?, run(3)?);
    Ok(())
}

#[test]
fn wrong_shapes_name_the_tensor() -> Result<()> {
    let mlp = Mlp::new(&[3, 4, 2], Activation::Relu)?;
    let params = Tensor::zeros(mlp.num_params(), candle_core::DType::F32, &Device::Cpu)?;
    let x = Tensor::zeros((5, 4), candle_core::DType::F32, &Device::Cpu)?;
    let message = mlp.forward(&params, &x).unwrap_err().to_string();
    assert!(
        message.contains("Mlp::forward: `x` has shape [5, 4], expected f32 [.., 3]"),
        "{message}"
    );
    assert!(Mlp::new(&[3], Activation::Relu).is_err());
    Ok(())
}
