//! The kernels on a CUDA device beside the CPU (`cargo xtask cuda-check` runs this on a stand-in for the driver where there is no GPU).
#![cfg(feature = "cuda")]

use advect_kernels::init::{self, Init};
use advect_kernels::{
    Activation, Adam, AdamConfig, BlockForm, Context, Mlp, ParamLayout, Params, Precision,
    ResidualConfig, ResidualMlp, candidates, cuda, decline::Decline, ensemble, graph::Recorder,
    kernel_matrix::Bandwidth, kernel_matrix::RadialKernel, logdet::log_abs_det_step, pointwise,
    random, recursion::Recursion, rows::DeviceRows, scalars::Scalar, scalars::ScalarLog,
    scalars::read_all, side_by_side, squashed::Squashed, stacked, svgd, truncnorm::propose,
    waves::Waves,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor, Var};

/// Largest difference, where values are of order one; sums run in another order there.
const TOLERANCE: f32 = 2e-5;

const ACTIVATIONS: [Activation; 5] = [
    Activation::Relu,
    Activation::Tanh,
    Activation::Gelu,
    Activation::Silu,
    Activation::Mish,
];

/// Rows and widths that are no multiples of anything.
const ROWS: usize = 37;
const INPUTS: usize = 7;
const OUTPUTS: usize = 5;

fn normal(name: &str, shape: &[usize]) -> Result<Tensor> {
    random::normal(&mut Stream::new(7, name), shape, &Device::Cpu)
}

/// What `compute` returns on the device and on the CPU is the same.
fn agree(
    what: &str,
    inputs: &[&Tensor],
    compute: impl Fn(&[Var]) -> Result<Vec<Tensor>>,
) -> Result<()> {
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    let on = |device: &Device| -> Result<Vec<Tensor>> {
        let moved = inputs.iter();
        let moved = moved.map(|x| Var::from_tensor(&x.to_device(device)?));
        let results = compute(&moved.collect::<Result<Vec<_>>>()?)?;
        results.iter().map(|x| x.to_device(&Device::Cpu)).collect()
    };
    for (i, (found, expected)) in on(&gpu)?.iter().zip(on(&Device::Cpu)?).enumerate() {
        assert_eq!(found.dims(), expected.dims(), "{what}, result {i}");
        let error = (found - &expected)?.abs()?.flatten_all()?.max(0)?;
        let error = error.to_scalar::<f32>()?;
        assert!(error < TOLERANCE, "{what}, result {i} differs by {error}");
    }
    Ok(())
}

/// Gradients of a weighted sum of `y` for every input.
fn gradients(y: &Tensor, inputs: &[Var]) -> Result<Vec<Tensor>> {
    let weight = normal("cotangent", y.dims())?.to_device(y.device())?;
    let found = (y * weight)?.sum_all()?.backward()?;
    let missing = || candle_core::Error::Msg("no gradient".into());
    let of = |x: &Var| found.get(x).cloned().ok_or_else(missing);
    inputs.iter().map(of).collect()
}

fn drawn(layout: &ParamLayout, members: Option<usize>) -> Result<Tensor> {
    let mut stream = Stream::new(3, "parameters");
    let values: Vec<f32> = (0..members.unwrap_or(1))
        .flat_map(|_| init::draw(layout, Init::FanInUniform, &mut stream))
        .collect();
    match members {
        None => Tensor::from_vec(values, layout.len(), &Device::Cpu),
        Some(members) => Tensor::from_vec(values, (members, layout.len()), &Device::Cpu),
    }
}

fn mlp(activation: Activation) -> Result<(Mlp, ParamLayout)> {
    let mlp = Mlp::new(&[INPUTS, 19, 33, OUTPUTS], activation)?;
    let mut layout = ParamLayout::new();
    mlp.push_layout(&mut layout, "net");
    Ok((mlp, layout))
}

fn residuals() -> Result<Vec<(ResidualMlp, ParamLayout)>> {
    let forms = [
        BlockForm::PreActivation { ln_eps: None },
        BlockForm::PreActivation { ln_eps: Some(1e-6) },
        BlockForm::PostActivation { ln_eps: 1e-5 },
    ];
    let net = |form| {
        let net = ResidualMlp::new(&ResidualConfig {
            inputs: INPUTS,
            hidden: 35,
            n_blocks: 2,
            outputs: OUTPUTS,
            activation: Activation::Mish,
            form,
        })?;
        let mut layout = ParamLayout::new();
        net.push_layout(&mut layout, "net");
        Ok((net, layout))
    };
    forms.into_iter().map(net).collect()
}

fn pair((y, y_dot): (Tensor, Tensor)) -> Vec<Tensor> {
    vec![y, y_dot]
}

#[test]
fn perceptrons_and_their_gradients() -> Result<()> {
    for activation in ACTIVATIONS {
        let (mlp, layout) = mlp(activation)?;
        let (params, x) = (drawn(&layout, None)?, normal("x", &[ROWS, INPUTS])?);
        agree(&format!("{activation:?}"), &[&params, &x], |on| {
            let y = mlp.forward(&on[0], &on[1])?;
            Ok([vec![y.clone()], gradients(&y, on)?].concat())
        })?;
    }
    Ok(())
}

#[test]
fn ensembles_on_shared_and_on_own_rows() -> Result<()> {
    let (mlp, layout) = mlp(Activation::Relu)?;
    let params = drawn(&layout, Some(3))?;
    for shape in [vec![ROWS, INPUTS], vec![3, ROWS, INPUTS]] {
        let x = normal("x", &shape)?;
        agree(&format!("ensemble of {shape:?}"), &[&params, &x], |on| {
            let y = mlp.forward(&on[0], &on[1])?;
            Ok([vec![y.clone()], gradients(&y, on)?].concat())
        })?;
    }
    Ok(())
}

#[test]
fn gradients_of_one_argument_alone() -> Result<()> {
    let (mlp, layout) = mlp(Activation::Silu)?;
    let (params, x) = (drawn(&layout, None)?, normal("x", &[ROWS, INPUTS])?);
    for own in [0, 1] {
        agree(&format!("argument {own}"), &[&params, &x], |on| {
            let (fixed, free) = (on[1 - own].as_tensor().detach(), on[own].as_tensor());
            let (params, x) = match own {
                0 => (free, &fixed),
                _ => (&fixed, free),
            };
            gradients(&mlp.forward(params, x)?, &on[own..=own])
        })?;
    }
    Ok(())
}

#[test]
fn residual_networks_and_their_gradients() -> Result<()> {
    for (net, layout) in residuals()? {
        let (params, x) = (drawn(&layout, None)?, normal("x", &[ROWS, INPUTS])?);
        agree(&format!("{net:?}"), &[&params, &x], |on| {
            let y = net.forward(&on[0], &on[1])?;
            Ok([vec![y.clone()], gradients(&y, on)?].concat())
        })?;
    }
    Ok(())
}

/// With a column in front of the candidates' own and the others behind.
fn around(columns: &Tensor, with: impl FnOnce(Context<'_>) -> Result<Tensor>) -> Result<Tensor> {
    let width = columns.dim(1)?;
    let (before, behind) = (columns.narrow(1, 0, 1)?, columns.narrow(1, 1, width - 1)?);
    with(Context {
        before: &[&before],
        behind: &[&behind],
    })
}

#[test]
fn tangents_jacobians_and_candidates() -> Result<()> {
    let (mlp, layout) = mlp(Activation::Gelu)?;
    let (x, t) = (normal("x", &[ROWS, INPUTS])?, normal("t", &[ROWS, INPUTS])?);
    let context = normal("c", &[ROWS, INPUTS - 2])?;
    let own = normal("o", &[ROWS, 3, 2])?;
    let params = drawn(&layout, None)?;
    agree("perceptron", &[&params, &x, &t, &context, &own], |on| {
        let tangent = pair(mlp.jvp(&on[0], &on[1], &on[2])?);
        let columns = pair(mlp.jacobian(&on[0], &on[1], 2, 3)?);
        let y = around(&on[3], |context| {
            mlp.forward_shared(&on[0], context, &on[4], Precision::F32)
        })?;
        Ok([tangent, columns, vec![y]].concat())
    })?;
    for (net, layout) in residuals()? {
        let params = drawn(&layout, None)?;
        let inputs = [&params, &x, &t, &context, &own];
        agree(&format!("{net:?}"), &inputs, |on| {
            let tangent = pair(net.jvp(&on[0], &on[1], &on[2])?);
            let columns = pair(net.jacobian(&on[0], &on[1], 2, 3)?);
            let y = around(&on[3], |context| {
                net.forward_shared(&on[0], context, &on[4], Precision::F32)
            })?;
            Ok([tangent, columns, vec![y]].concat())
        })?;
    }
    Ok(())
}

#[test]
fn tangents_that_are_differentiated() -> Result<()> {
    for activation in ACTIVATIONS {
        let (mlp, layout) = mlp(activation)?;
        let (x, t) = (normal("x", &[ROWS, INPUTS])?, normal("t", &[ROWS, INPUTS])?);
        let params = drawn(&layout, None)?;
        agree(&format!("{activation:?}"), &[&params, &x, &t], |on| {
            let (y, y_dot) = mlp.jvp_tracked(&on[0], &on[1], &on[2])?;
            let both = Tensor::cat(&[&y, &y_dot], 1)?;
            Ok([vec![y, y_dot], gradients(&both, on)?].concat())
        })?;
    }
    Ok(())
}

#[test]
fn draws_have_the_bits_of_the_host() -> Result<()> {
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    // lengths around a block, and more than a launch has threads for values
    for len in [1, 3, 4, 5, 127, 1000, 40_001] {
        let draw = |device: &Device| -> Result<(Vec<Vec<u32>>, Stream)> {
            let mut stream = Stream::new(5, "draws").fork("child");
            let floats = [
                random::normal(&mut stream, len, device)?,
                random::uniform(&mut stream, -1.5, 4.0, len, device)?,
                random::rademacher(&mut stream, len, device)?,
            ];
            let bits = |x: &Tensor| -> Result<Vec<u32>> {
                Ok(x.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect())
            };
            let mut found = floats.iter().map(bits).collect::<Result<Vec<_>>>()?;
            found.push(random::indices(&mut stream, 3_000_000_000, len, device)?.to_vec1()?);
            Ok((found, stream))
        };
        assert!(draw(&gpu)? == draw(&Device::Cpu)?, "{len} values");
    }
    Ok(())
}

#[test]
fn a_gaussian_behind_a_tanh() -> Result<()> {
    let gaussian = Squashed {
        log_std: (-1.0, 0.5),
    };
    let inputs = [
        &normal("head", &[ROWS, 2 * OUTPUTS])?,
        &normal("eps", &[ROWS, OUTPUTS])?,
    ];
    agree("squashed", &inputs, |inputs| {
        let (head, eps) = (inputs[0].as_tensor(), inputs[1].detach());
        let (action, log_prob) = gaussian.sample(head, &eps)?;
        let scaled = (&log_prob * 0.1)?;
        let mut results = gradients(&action, &inputs[..1])?;
        results.extend(gradients(&scaled, &inputs[..1])?);
        Ok([vec![action, scaled], results].concat())
    })
}

#[test]
fn reductions_over_an_ensemble() -> Result<()> {
    let inputs = [&normal("members", &[3, 300])?, &normal("targets", &[300])?];
    agree("ensemble", &inputs, |inputs| {
        let (x, y) = (inputs[0].as_tensor(), inputs[1].detach());
        let (least, error) = (ensemble::minimum(x)?, ensemble::squared_error(x, &y)?);
        let mut results = gradients(&least, &inputs[..1])?;
        results.extend(gradients(&error, &inputs[..1])?);
        let (error_at_once, errors) = ensemble::squared_error_with_gradient(x, &y)?;
        let actor = ensemble::pessimistic_loss(x, &y, &0.3.into())?;
        results.extend([least, error, error_at_once, errors]);
        results.extend([actor.loss, actor.outputs, actor.penalty]);
        Ok(results)
    })
}

#[test]
fn sums_of_columns() -> Result<()> {
    let columns = ["q", "log_prob", "reward"].map(|name| normal(name, &[ROWS]));
    let [q, log_prob, reward] = columns;
    let terminated = q.as_ref().map_or_else(
        |_| Tensor::zeros(ROWS, candle_core::DType::F32, &Device::Cpu),
        |q| q.gt(0.8)?.to_dtype(candle_core::DType::F32),
    )?;
    agree(
        "pointwise",
        &[&q?, &log_prob?, &reward?, &terminated],
        |x| {
            let value = pointwise::minus_scaled(&x[0], &x[1], &0.3.into())?;
            let y = pointwise::gated_sum(&x[2], &x[3], &value, 0.5, 0.99)?;
            let moved = pointwise::step(&x[0].detach(), &x[1].detach(), -0.3)?;
            let tracked = pointwise::step(&x[0], &x[1], -0.3)?;
            let clamped = pointwise::clamp(&x[0], -0.5, 0.7)?;
            Ok(vec![value, y, moved, tracked, clamped])
        },
    )
}

#[test]
fn a_number_that_falls_with_the_updates() -> Result<()> {
    let decline = Decline {
        high: 0.02,
        low: 0.002,
        total: 1000,
        first: 100,
        every: 3,
        per: 2,
    };
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    for updates in [0, 1, 7, 400, 10_000] {
        let (found, expected) = (decline.at(updates, &gpu)?.read()?, decline.value(updates));
        assert!((found - expected).abs() < 1e-9, "{found} and {expected}");
    }
    Ok(())
}

/// Both kernels, every way to a bandwidth, with distances that tie, and numbers of particles beyond a warp.
#[test]
fn directions_of_particles() -> Result<()> {
    let ways = [
        Bandwidth::MedianPerQuery,
        Bandwidth::MedianPerState,
        Bandwidth::Fixed(0.7),
    ];
    for (particles, kernel) in [
        (1, RadialKernel::Rbf),
        (7, RadialKernel::Imq),
        (40, RadialKernel::Rbf),
    ] {
        let shape = [3, particles, 5];
        let (y, g) = (normal("y", &[3, 4, 5])?, normal("g", &shape)?);
        let a = ((normal("a", &shape)? * 2.0)?.round()? / 2.0)?;
        let weight = normal("w", &[3, 4])?;
        for way in &ways {
            agree("svgd", &[&y, &a, &g, &weight], |x| {
                let weights = [None, Some(x[3].as_tensor())];
                let mut results = Vec::new();
                for weight in weights {
                    let found = svgd::direction(kernel, &x[0], &x[1], &x[2], way, weight)?;
                    results.extend([
                        found.phi,
                        found.attraction,
                        found.repulsion,
                        found.bandwidth,
                    ]);
                }
                Ok(results)
            })?;
        }
    }
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    let x = normal("x", &[1, 2, 3])?.to_device(&gpu)?;
    let h = Bandwidth::PerQuery(Tensor::new(&[[1f32, 0.0]], &gpu)?);
    let refused = svgd::direction(RadialKernel::Rbf, &x, &x, &x, &h, None);
    assert!(refused.unwrap_err().to_string().contains("above 0"));
    Ok(())
}

/// Within its bounds, at either of them, and with a measurement that is no number.
#[test]
fn a_controller() -> Result<()> {
    let measured = Tensor::new(&[0.25f32, -100.0, 100.0, f32::NAN], &Device::Cpu)?;
    let by = pointwise::Steering {
        rate: 0.1,
        target: 0.5,
        low: -1.0,
        high: 2.0,
    };
    let steer = |measured: &Tensor| -> Result<Vec<f64>> {
        let value = Scalar::on(measured.device(), 1.5)?;
        let steered = |i| {
            let measured = Scalar::of(&measured.narrow(0, i, 1)?.contiguous()?)?;
            pointwise::steered(&value, &measured, by)?.read()
        };
        (0..4).map(steered).collect()
    };
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    for device in [Device::Cpu, gpu] {
        let found = steer(&measured.to_device(&device)?)?;
        for (found, expected) in found.iter().zip([1.525, 2.0, -1.0]) {
            assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
        }
        assert!(found[3].is_nan());
    }
    Ok(())
}

/// Parts of one row and of several matrices, and the gradient of one part.
#[test]
fn parts_side_by_side() -> Result<()> {
    let inputs = [
        &normal("rows", &[ROWS, 3])?,
        &normal("shared", &[1, 2])?,
        &normal("matrices", &[2, ROWS, 4])?,
        &normal("shared matrices", &[3, 1, 2])?,
    ];
    agree("side by side", &inputs, |inputs| {
        let held = inputs.iter().map(|x| x.detach()).collect::<Vec<_>>();
        let mut results = vec![side_by_side(&held.iter().collect::<Vec<_>>())?];
        for own in [0, 2] {
            let mut parts: Vec<&Tensor> = held.iter().collect();
            parts[own] = &inputs[own];
            let joined = side_by_side(&parts)?;
            results.extend(gradients(&joined, &inputs[own..=own])?);
        }
        Ok(results)
    })
}

/// Gradients on demand are those of candle's graph, and columns side by side are what candle concatenates.
#[test]
fn pullbacks() -> Result<()> {
    let (mlp, layout) = mlp(Activation::Mish)?;
    let params = drawn(&layout, Some(3))?;
    let inputs = [
        &params,
        &normal("left", &[ROWS, 3])?,
        &normal("right", &[ROWS, INPUTS - 3])?,
    ];
    agree("pullback", &inputs, |inputs| {
        let x = side_by_side(&[&inputs[1], &inputs[2]])?;
        let (y, pullback) = mlp.forward_with_pullback(&inputs[0], &x)?;
        let weight = normal("cotangent", y.dims())?.to_device(y.device())?;
        let (_, again) = mlp.forward_with_pullback(&inputs[0], &x)?;
        let along = pullback.pushforward(&(&x * 0.5)?)?;
        let gradients = [pullback.params(&weight)?, again.input(&weight)?];
        let [params, input] = gradients;
        Ok(vec![y, params, input, along, x])
    })
}

/// Layers of few outputs, first, last and between; an ensemble with inputs of its own, of few and of many rows.
#[test]
fn narrow_layers() -> Result<()> {
    let nets = [
        (ROWS, vec![INPUTS, 12, 3]),
        (300, vec![INPUTS, 40, 7, 36, 1]),
        (100, vec![INPUTS, 5]),
    ];
    for (rows, sizes) in nets {
        let mlp = Mlp::new(&sizes, Activation::Silu)?;
        let mut layout = ParamLayout::new();
        mlp.push_layout(&mut layout, "net");
        let params = drawn(&layout, Some(2))?;
        let inputs = [&params, &normal("own", &[2, rows, INPUTS])?];
        agree("narrow layers", &inputs, |inputs| {
            let (y, pullback) = mlp.forward_with_pullback(&inputs[0], &inputs[1])?;
            let weight = normal("cotangent", y.dims())?.to_device(y.device())?;
            let along = pullback.pushforward(&(inputs[1].as_tensor() * 0.5)?)?;
            let (params, input) = pullback.both(&weight)?;
            let (_, again) = mlp.forward_with_pullback(&inputs[0], &inputs[1])?;
            let half = (inputs[1].as_tensor() * 0.5)?;
            let both = Tensor::stack(&[inputs[1].as_tensor(), &half], 0)?;
            let (value, dot, at_once) = mlp.forward_with_tangent(&inputs[0], &both)?;
            let (at_once, passes) = (at_once.both(&weight)?, [y, along, value, dot]);
            let gradients = [params, input, again.input(&weight)?, at_once.0, at_once.1];
            Ok([passes.to_vec(), gradients.to_vec()].concat())
        })?;
    }
    Ok(())
}

/// Steps of candidates by the last layer's kernel and behind it, and hidden products in bf16.
#[test]
fn steps_of_candidates() -> Result<()> {
    for width in [3, 40] {
        let mlp = Mlp::new(&[INPUTS + width, 36, 36, width], Activation::Mish)?;
        let mut layout = ParamLayout::new();
        mlp.push_layout(&mut layout, "net");
        let (x, own) = (
            normal("x", &[ROWS, INPUTS])?,
            normal("own", &[ROWS, 5, width])?,
        );
        let inputs = [&drawn(&layout, None)?, &x, &own];
        let step = |inputs: &[Var], precision| {
            let before = [inputs[1].as_tensor()];
            let context = Context::before(&before);
            mlp.step_shared(&inputs[0], context, &inputs[2], -0.3, precision)
        };
        agree("steps", &inputs, |inputs| {
            Ok(vec![step(inputs, Precision::F32)?])
        })?;
        let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
        let there = |x: &Tensor| Var::from_tensor(&x.to_device(&gpu)?);
        let there: Vec<Var> = inputs.into_iter().map(there).collect::<Result<_>>()?;
        let [fine, coarse] = [Precision::F32, Precision::Bf16].map(|p| step(&there, p));
        let gap = (fine? - coarse?)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!((1e-6..2e-2).contains(&gap), "{gap}");
    }
    Ok(())
}

/// Values and tangents of a single network, wide and narrow layers, in one pass.
#[test]
fn values_and_tangents_at_once() -> Result<()> {
    for sizes in [vec![INPUTS, 40, 36, 3], vec![INPUTS, 8, 40]] {
        let mlp = Mlp::new(&sizes, Activation::Mish)?;
        let mut layout = ParamLayout::new();
        mlp.push_layout(&mut layout, "net");
        let parts = [normal("x", &[ROWS, 4])?, normal("t", &[1, INPUTS - 4])?];
        let inputs = [&drawn(&layout, None)?, &parts[0], &parts[1]];
        agree("values and tangents", &inputs, |inputs| {
            let [a, b] = [inputs[1].detach(), inputs[2].detach()];
            let both = stacked(&[&a, &b], &[&b.zeros_like()?, &a])?;
            let (y, y_dot, pullback) = mlp.forward_with_tangent(&inputs[0], &both)?;
            let weight = normal("cotangent", y.dims())?.to_device(y.device())?;
            let (params, input) = pullback.both(&weight)?;
            Ok(vec![both, y, y_dot, params, input])
        })?;
    }
    Ok(())
}

/// Both tails, both sides of every branch, the same bits.
#[test]
fn proposals_have_the_hosts_bits() -> Result<()> {
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    let (rows, k, d) = (60, 7, 3);
    let z = (normal("z", &[rows, d])? * 6.0)?;
    let times: Vec<f32> = (0..rows).map(|i| (i as f32 + 0.3) / rows as f32).collect();
    let t = Tensor::from_vec(times, rows, &Device::Cpu)?.to_dtype(candle_core::DType::F64)?;
    let t = t.powf(3.0)?;
    let levels = random::uniform(
        &mut Stream::new(7, "levels"),
        0.0,
        1.0,
        (rows, k, d),
        &Device::Cpu,
    )?;
    let on = |device: &Device| -> Result<[Vec<f32>; 2]> {
        let [z, levels] = [&z, &levels].map(|x| x.to_device(device));
        let (c_a, c_eps) = (
            t.affine(-1.0, 1.0)?.to_device(device)?,
            t.to_device(device)?,
        );
        let (act, eps) = propose(&z?, &c_a, &c_eps, &levels?)?;
        Ok([act.flatten_all()?.to_vec1()?, eps.flatten_all()?.to_vec1()?])
    };
    assert_eq!(on(&gpu)?, on(&Device::Cpu)?);
    Ok(())
}

#[test]
fn features_of_times() -> Result<()> {
    let waves = Waves {
        frequencies: (0..150).map(|i| 1.7 * f64::from(i)).collect(),
        scale: 0.3,
        with_time: true,
    };
    agree(
        "features of times",
        &[&normal("times", &[ROWS])?],
        |inputs| {
            let t = inputs[0].as_tensor();
            let slope = (waves.derivative(t)? / 255.0)?;
            Ok(vec![waves.value(t)?, slope])
        },
    )
}

#[test]
fn scalars_are_read_together() -> Result<()> {
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    let scalars = (0..70).map(|i| match i % 2 {
        0 => Tensor::new(i as f32, &gpu),
        _ => Tensor::new(&[0.0, f64::from(i)], &gpu)?.get(1),
    });
    let scalars: Vec<Tensor> = scalars.collect::<Result<_>>()?;
    let found = read_all(&scalars.iter().collect::<Vec<_>>())?;
    let expected: Vec<f64> = (0..70).map(f64::from).collect();
    assert_eq!(found, expected);
    let long = Tensor::from_vec((0..999).map(|i| i as f32).collect(), 999, &gpu)?;
    assert_eq!(read_all(&[&long, &scalars[3]])?, [499.0, 3.0]);
    Ok(())
}

#[test]
fn a_gradient_that_is_not_finite_is_no_step() -> Result<()> {
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    let (_, layout) = mlp(Activation::Relu)?;
    let params = Params::zeros(layout.clone(), None, &gpu)?;
    let mut adam = Adam::new(&params, AdamConfig::default())?;
    let grad = normal("gradient", &[layout.len()])?.to_device(&gpu)?;
    adam.step(&params, &grad, 1e-2)?;
    let before = (params.to_vec()?, adam.state()?);
    let norm = adam.step(&params, &(&grad * f64::INFINITY)?, 1e-2)?;
    assert!(!norm.to_scalar::<f64>()?.is_finite());
    let after = adam.state()?;
    assert_eq!(
        (before.0, before.1.m, before.1.v),
        (params.to_vec()?, after.m, after.v)
    );
    Ok(())
}

#[test]
fn steps_of_adam_and_averages() -> Result<()> {
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    let (_, layout) = mlp(Activation::Relu)?;
    let start = drawn(&layout, None)?.to_vec1::<f32>()?;
    let run = |device: &Device| -> Result<[Vec<f32>; 2]> {
        let params = Params::from_vec(layout.clone(), None, start.clone(), device)?;
        let average = params.duplicate()?;
        let config = AdamConfig {
            weight_decay: 0.01,
            clip_norm: Some(1.0),
            ..AdamConfig::default()
        };
        let mut adam = Adam::new(&params, config)?;
        for step in 0..4 {
            let grad = normal(&format!("gradient {step}"), &[layout.len()])?.to_device(device)?;
            adam.step(&params, &grad, 1e-2)?;
            average.lerp_towards(&params, 0.3)?;
        }
        // more buffers than a launch takes
        let copies: Vec<Params> = (0..6).map(|_| params.duplicate()).collect::<Result<_>>()?;
        let sources = [&average, &params].into_iter().cycle();
        let pairs: Vec<(&Params, &Params)> = copies.iter().zip(sources).collect();
        Params::lerp_all(&pairs, 1.0)?;
        for (copy, source) in pairs {
            assert_eq!(copy.hash()?, source.hash()?);
        }
        Ok([params.to_vec()?, average.to_vec()?])
    };
    for (found, expected) in run(&gpu)?.iter().zip(run(&Device::Cpu)?) {
        let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        assert!(differences.fold(0.0, f32::max) < 1e-6);
    }
    Ok(())
}

/// Draws of two streams, of which one also moves between two launches; the log of what they are is a ring that the graph goes round.
#[test]
fn a_graph_draws_what_its_streams_draw() -> Result<()> {
    const SHAPE: (usize, usize) = (3, 5);
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    let Some(mut recorder) = Recorder::new(&gpu)? else {
        return Err(candle_core::Error::Msg("a GPU does not record".into()));
    };
    let mut log = ScalarLog::new(&gpu)?;
    let (mut noise, mut times) = (Stream::new(1, "noise"), Stream::new(1, "times"));
    let (mut same_noise, mut same_times) = (noise.clone(), times.clone());
    let sum = Var::zeros(SHAPE, candle_core::DType::F32, &gpu)?;
    let step = |noise: &mut Stream, times: &mut Stream, log: &mut ScalarLog| -> Result<()> {
        let x = random::normal(noise, SHAPE, &gpu)?;
        let y = random::uniform(times, 0.0, 2.0, SHAPE, &gpu)?;
        let z = random::normal(noise, SHAPE, &gpu)?;
        let added = ((x.mul(&y)? + z.sum_keepdim(1)?.broadcast_as(SHAPE)?)? + sum.as_tensor())?;
        sum.set(&added)?;
        log.push(&[&added, &y])
    };
    let mut expected = Vec::new();
    for i in 0..4u64 {
        recorder.rehearse(|| step(&mut same_noise, &mut same_times, &mut log))?;
        same_times.skip(i);
        expected.extend(log.take()?);
    }
    sum.set(&sum.zeros_like()?)?;
    let at = |noise: &Stream, times: &Stream, log: &ScalarLog| {
        vec![noise.into(), log.position(), times.into()]
    };
    let from = at(&noise, &times, &log);
    let (graph, ()) = recorder.record(&from, || {
        step(&mut noise, &mut times, &mut log)?;
        Ok(((), at(&noise, &times, &log)))
    })?;
    assert_eq!(graph.moves(), [8, 2, 4]);
    recorder.launch(&graph, &from)?;
    let mut found = log.take()?;
    for i in 0..3 {
        times.skip(i);
        recorder.launch(&graph, &at(&noise, &times, &log))?;
        noise.skip(graph.moves()[0]);
        log.advance(2);
        times.skip(graph.moves()[2]);
        found.extend(log.take()?);
    }
    times.skip(3);
    assert_eq!(found, expected);
    assert_eq!((noise, times), (same_noise, same_times));
    Ok(())
}

#[test]
fn a_recording_refuses_what_it_cannot_repeat() -> Result<()> {
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    let mut recorder = Recorder::new(&gpu)?.into_iter().next();
    let Some(recorder) = &mut recorder else {
        return Err(candle_core::Error::Msg("a GPU does not record".into()));
    };
    let mut stream = Stream::new(1, "foreign");
    let foreign = recorder.record(&[], || {
        random::normal(&mut stream, 3, &gpu)?;
        Ok(((), Vec::new()))
    });
    let message = foreign.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(message.contains("does not own"), "{message}");
    let x = Tensor::zeros(4, candle_core::DType::F32, &gpu)?;
    let read = recorder.record(&[], || Ok((x.to_vec1::<f32>()?, Vec::new())));
    assert!(read.is_err());
    let uploaded = recorder.record(&[], || {
        Tensor::new(&[0.125f32, 7.0], &gpu)?;
        Ok(((), Vec::new()))
    });
    assert!(uploaded.is_err());
    // and the device still works
    assert_eq!(x.affine(1.0, 2.0)?.to_vec1::<f32>()?, [2.0; 4]);
    Ok(())
}

#[test]
fn rows_are_those_at_the_stream_s_indices() -> Result<()> {
    const WIDTHS: [usize; 3] = [3, 1, 2];
    const WIDTH: usize = 6;
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    let Some(mut table) = DeviceRows::new(11, &WIDTHS, &gpu)? else {
        return Err(candle_core::Error::Msg("a GPU keeps no rows".into()));
    };
    let row = |slot: usize| (0..WIDTH).map(move |column| (10 * slot + column) as f32);
    let rows = |slots: std::ops::Range<usize>| slots.flat_map(row).collect::<Vec<f32>>();
    let mut stream = Stream::new(1, "rows");
    table.write(0, &rows(0..4), 4)?;
    for len in [4, 7] {
        table.write(len - 3, &rows(len - 3..len), len)?;
        let mut slots = vec![0; 9];
        stream.clone().fill_indices(len as u32, &mut slots);
        let fields = table.sample(&mut stream, slots.len())?;
        let mut begin = 0;
        for (field, width) in fields.iter().zip(WIDTHS) {
            let of_slot = |slot: &u32| row(*slot as usize).skip(begin).take(width).collect();
            let expected: Vec<Vec<f32>> = slots.iter().map(of_slot).collect();
            assert_eq!(field.to_vec2::<f32>()?, expected);
            begin += width;
        }
    }
    assert!(table.write(9, &rows(0..3), 7).is_err());
    Ok(())
}

#[test]
fn volumes_of_steps() -> Result<()> {
    let jacobians = normal("jacobians", &[ROWS, 6, 6])?;
    agree("log det", &[&jacobians], |x| {
        Ok(vec![
            log_abs_det_step(&x[0], 0.25)?,
            log_abs_det_step(&x[0], -0.5)?,
        ])
    })?;
    let singular = Tensor::zeros((2, 3, 3), candle_core::DType::F32, &Device::Cpu)?;
    let gpu = cuda::open().map_err(candle_core::Error::wrap)?;
    let minus_eye = (singular
        - Tensor::eye(3, candle_core::DType::F32, &Device::Cpu)?.broadcast_as((2, 3, 3))?)?;
    let volume = log_abs_det_step(&minus_eye.to_device(&gpu)?, 1.0)?.to_vec1::<f32>()?;
    assert_eq!(volume, [f32::NEG_INFINITY; 2]);
    Ok(())
}

/// Ends within and at the last step.
#[test]
fn recursions_over_steps() -> Result<()> {
    let (steps, sequences) = (9, 5);
    let (x, v) = (
        normal("x", &[steps * sequences])?,
        normal("v", &[steps * sequences])?,
    );
    let ends = |every: usize| -> Result<Tensor> {
        let ends = (0..steps * sequences).map(|i| f32::from(u8::from(i % every > 0)));
        Tensor::from_vec(ends.collect(), steps * sequences, &Device::Cpu)
    };
    agree("recursion", &[&x, &ends(7)?, &ends(4)?, &v], |x| {
        let [rows, keep, joined, v] = [0, 1, 2, 3].map(|i| x[i].detach());
        let recursion = Recursion {
            x: rows,
            keep,
            joined,
            sequences,
            gain: 0.9,
            mix: 0.7,
        };
        Ok(vec![recursion.of(&v)?])
    })
}

/// More candidates than a warp has lanes, and equal scores, of which the first wins.
#[test]
fn candidates_and_their_weights() -> Result<()> {
    let scores = (normal("scores", &[2, ROWS, 45])? * 2.0)?.round()?;
    let candidates = normal("candidates", &[ROWS, 45, OUTPUTS])?;
    agree("candidates", &[&scores, &candidates], |x| {
        let single = candidates::softmax(&x[0].get(0)?, &0.7.into())?;
        let weights = candidates::softmax(&x[0], &0.7.into())?;
        let fraction = candidates::effective_fraction(&weights)?;
        let half = (x[1].as_tensor() * 0.5)?;
        Ok(vec![
            candidates::best(&x[0], &x[1], Some([-0.5, 0.5]))?,
            candidates::weighted_difference(&weights, &x[1].detach(), &half.detach())?,
            single,
            weights,
            fraction,
        ])
    })
}

/// A number for each row, and pairs in order.
#[test]
fn rows_with_a_time_each() -> Result<()> {
    let (x, y) = (normal("x", &[ROWS, 5])?, normal("y", &[ROWS, 5])?);
    let (from, to) = (normal("from", &[ROWS])?, normal("to", &[ROWS])?);
    agree("rows with times", &[&x, &y, &from, &to], |x| {
        let held: Vec<Tensor> = x.iter().map(|x| x.detach()).collect();
        let (low, high) = pointwise::sorted(&held[2], &held[3])?;
        let by = pointwise::Denoising {
            of_eps: 0.3,
            scale: 1.2,
            bound: 0.7,
            of_data: 0.4,
            of_x: 0.5,
            std: 0.2,
        };
        Ok(vec![
            pointwise::denoised(&held[0], &held[1], Some(&held[0]), by)?,
            pointwise::denoised(&held[0], &held[1], None, by)?,
            pointwise::mix(&held[0], &held[1], &held[2])?,
            pointwise::mix(&x[0], &x[1], &x[2])?,
            pointwise::minus_span(&held[0], &held[1], &held[2], &held[3])?,
            low,
            high,
        ])
    })
}
