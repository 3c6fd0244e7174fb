//! Residual networks against plain candle operations and finite differences.

use advect_rng::Stream;
use candle_core::{D, DType, Device, Result, Tensor, Var};

use super::{BlockForm, ResidualConfig, ResidualMlp};
use crate::dense::Context;
use crate::mlp::{Activation, Precision};
use crate::params::{ParamLayout, Params};
use crate::tests::{ALL, activate, draw, drawn_params, error, hashes};

const FORMS: [BlockForm; 3] = [
    BlockForm::PreActivation { ln_eps: None },
    BlockForm::PreActivation { ln_eps: Some(1e-6) },
    BlockForm::PostActivation { ln_eps: 1e-5 },
];

/// Widths of input, hidden layers and output, and the number of blocks.
const SIZES: [(usize, usize, usize, usize); 5] = [
    (7, 40, 5, 1),
    (23, 64, 6, 3),
    (3, 1, 1, 1),
    (5, 33, 3, 2),
    (4, 16, 2, 0),
];

fn network(
    (inputs, hidden, outputs, n_blocks): (usize, usize, usize, usize),
    activation: Activation,
    form: BlockForm,
) -> Result<ResidualMlp> {
    ResidualMlp::new(&ResidualConfig {
        inputs,
        hidden,
        outputs,
        n_blocks,
        activation,
        form,
    })
}

fn params(net: &ResidualMlp, stream: &mut Stream) -> Params {
    let mut layout = ParamLayout::new();
    net.push_layout(&mut layout, "net");
    drawn_params(layout, None, stream)
}

/// The same network from candle's own operations, parameters by name.
struct Plain<'a> {
    net: &'a ResidualMlp,
    layout: ParamLayout,
    params: &'a Tensor,
}

impl<'a> Plain<'a> {
    fn new(net: &'a ResidualMlp, params: &'a Tensor) -> Self {
        let mut layout = ParamLayout::new();
        net.push_layout(&mut layout, "net");
        Self {
            net,
            layout,
            params,
        }
    }

    fn get(&self, name: &str) -> Result<Tensor> {
        let entry = self.layout.find(&format!("net.{name}")).unwrap();
        self.params
            .narrow(0, entry.offset, entry.len())?
            .reshape(entry.shape.as_slice())
    }

    fn linear(&self, name: &str, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (
            self.get(&format!("{name}.weight"))?,
            self.get(&format!("{name}.bias"))?,
        );
        x.matmul(&weight.t()?)?.broadcast_add(&bias)
    }

    fn activate(&self, norm: &str, z: &Tensor) -> Result<Tensor> {
        let config = self.net.config();
        let Some(eps) = config.form.ln_eps() else {
            return activate(config.activation, z);
        };
        let centred = z.broadcast_sub(&z.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = centred.broadcast_div(&(variance + f64::from(eps))?.sqrt()?)?;
        let (gain, shift) = (
            self.get(&format!("{norm}.weight"))?,
            self.get(&format!("{norm}.bias"))?,
        );
        let z = normed.broadcast_mul(&gain)?.broadcast_add(&shift)?;
        activate(config.activation, &z)
    }

    fn block(&self, block: &str, h: &Tensor) -> Result<Tensor> {
        let name = |part: &str| format!("{block}.{part}");
        let branch = match self.net.config().form {
            BlockForm::PreActivation { .. } => {
                let z = self.linear(&name("fc1"), &self.activate(&name("ln1"), h)?)?;
                self.linear(&name("fc2"), &self.activate(&name("ln2"), &z)?)?
            }
            BlockForm::PostActivation { .. } => {
                self.activate(&name("ln"), &self.linear(&name("fc"), h)?)?
            }
        };
        h + branch
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut h = self.linear("in", x)?;
        if let BlockForm::PostActivation { .. } = self.net.config().form {
            h = self.activate("in_ln", &h)?;
        }
        for block in 0..self.net.config().n_blocks {
            h = self.block(&format!("block{block}"), &h)?;
        }
        self.linear("out", &h)
    }
}

/// Every form with every size; the activation changes from one to the next.
fn for_each_network(
    mut check: impl FnMut(&ResidualMlp, &mut Stream, String) -> Result<()>,
) -> Result<()> {
    for (i, form) in FORMS.into_iter().enumerate() {
        for (j, sizes) in SIZES.into_iter().enumerate() {
            let activation = ALL[(i + j) % ALL.len()];
            let net = network(sizes, activation, form)?;
            let stream = &mut Stream::new((10 * i + j) as u64, "residual");
            check(&net, stream, format!("{sizes:?} {activation:?} {form:?}"))?;
        }
    }
    Ok(())
}

#[test]
fn forward_and_gradients_match_plain_candle() -> Result<()> {
    for_each_network(|net, stream, name| {
        let params = params(net, stream);
        for rows in [1, 37, 400] {
            let x = Var::from_tensor(&draw(stream, &[rows, net.input_dim()], 1.0))?;
            let weight = draw(stream, &[rows, net.output_dim()], 1.0);
            let fused = net.forward(params.tensor(), &x)?;
            let oracle = Plain::new(net, params.tensor()).forward(&x)?;
            let gap = error(&fused, &oracle);
            assert!(gap < 5e-6, "{name} rows {rows}: {gap}");
            let (fused, oracle) = (
                (fused * &weight)?.sum_all()?.backward()?,
                (oracle * &weight)?.sum_all()?.backward()?,
            );
            for (what, var) in [("params", params.tensor()), ("x", x.as_tensor())] {
                let gap = error(fused.get(var).unwrap(), oracle.get(var).unwrap());
                assert!(gap < 5e-5, "{name} rows {rows} {what}: {gap}");
            }
        }
        Ok(())
    })
}

#[test]
fn only_the_gradients_asked_for_are_there_and_are_the_same() -> Result<()> {
    for form in FORMS {
        let stream = &mut Stream::new(1, "wanted");
        let net = network((6, 24, 3, 2), Activation::Silu, form)?;
        let params = params(&net, stream);
        let x = Var::from_tensor(&draw(stream, &[19, 6], 1.0))?;
        let loss = |p: &Tensor, x: &Tensor| net.forward(p, x)?.sqr()?.sum_all();
        let both = loss(params.tensor(), &x)?.backward()?;
        let of_params = loss(params.tensor(), &x.detach())?.backward()?;
        let of_x = loss(&params.detached(), &x)?.backward()?;
        for (var, own) in [(params.tensor(), &of_params), (x.as_tensor(), &of_x)] {
            let (own, both) = (own.get(var).unwrap(), both.get(var).unwrap());
            assert_eq!(hashes(&[own])?, hashes(&[both])?);
        }
        assert!(of_params.get(&x).is_none() && of_x.get(params.tensor()).is_none());
    }
    Ok(())
}

#[test]
fn tangents_match_central_differences() -> Result<()> {
    for_each_network(|net, stream, name| {
        let params = params(net, stream);
        let dims = [31, net.input_dim()];
        let (x, tangent) = (draw(stream, &dims, 1.0), draw(stream, &dims, 1.0));
        let (y, y_dot) = net.jvp(params.tensor(), &x, &tangent)?;
        assert_eq!(error(&y, &net.forward(params.tensor(), &x)?), 0.0);
        // the same network in double precision
        let double = params.tensor().to_dtype(DType::F64)?;
        let oracle = Plain::new(net, &double);
        let (x, tangent) = (x.to_dtype(DType::F64)?, tangent.to_dtype(DType::F64)?);
        let step = 1e-6;
        let at = |sign: f64| oracle.forward(&(&x + (&tangent * (sign * step))?)?);
        let difference = ((at(1.0)? - at(-1.0)?)? / (2.0 * step))?;
        let gap = error(&y_dot, &difference.to_dtype(DType::F32)?);
        assert!(gap < 1e-5, "{name}: {gap}");
        Ok(())
    })
}

#[test]
fn tangent_and_gradient_agree() -> Result<()> {
    for_each_network(|net, stream, name| {
        let params = params(net, stream);
        let dims = [29, net.input_dim()];
        let x = Var::from_tensor(&draw(stream, &dims, 1.0))?;
        let tangent = draw(stream, &dims, 1.0);
        let weight = draw(stream, &[29, net.output_dim()], 1.0);
        let (_, y_dot) = net.jvp(params.tensor(), &x, &tangent)?;
        let (_, pullback) = net.forward_with_pullback(params.tensor(), &x)?;
        assert_eq!(error(&pullback.pushforward(&tangent)?, &y_dot), 0.0);
        let s = (net.forward(&params.detached(), &x)? * &weight)?.sum_all()?;
        let grads = s.backward()?;
        // per row: weight . J tangent = (J^T weight) . tangent
        let along = (grads.get(&x).unwrap() * &tangent)?.sum(1)?;
        let gap = error(&(y_dot * weight)?.sum(1)?, &along);
        assert!(gap < 2e-5, "{name}: {gap}");
        Ok(())
    })
}

#[test]
fn the_jacobian_consists_of_tangents() -> Result<()> {
    for form in FORMS {
        let stream = &mut Stream::new(4, "jacobian");
        let net = network((9, 20, 3, 2), Activation::Silu, form)?;
        let params = params(&net, stream);
        let x = draw(stream, &[14, 9], 1.0);
        let (y, jacobian) = net.jacobian(params.tensor(), &x, 2, 3)?;
        assert_eq!(error(&y, &net.forward(params.tensor(), &x)?), 0.0);
        for column in 0..3 {
            let unit: Vec<f32> = (0..9).map(|i| f32::from(i == 2 + column)).collect();
            let unit = Tensor::from_vec(unit, (1, 9), &Device::Cpu)?
                .broadcast_as((14, 9))?
                .contiguous()?;
            let (_, y_dot) = net.jvp(params.tensor(), &x, &unit)?;
            assert!(error(&jacobian.narrow(2, column, 1)?, &y_dot) < 1e-6);
        }
    }
    Ok(())
}

#[test]
fn a_shared_pass_equals_the_concatenated_one() -> Result<()> {
    for form in FORMS {
        for (hidden, outputs) in [(40, 1), (64, 6), (33, 5)] {
            let stream = &mut Stream::new(2, "shared");
            let net = network((12, hidden, outputs, 2), Activation::Mish, form)?;
            let params = params(&net, stream);
            let (context, own) = (draw(stream, &[9, 8], 1.0), draw(stream, &[9, 29, 4], 1.0));
            for slot in [0, 3, 8] {
                let wide = context.unsqueeze(1)?.broadcast_as((9, 29, 8))?;
                let (left, right) = (wide.narrow(2, 0, slot)?, wide.narrow(2, slot, 8 - slot)?);
                let x = Tensor::cat(&[&left, &own, &right], 2)?;
                let oracle = net.forward(&params.detached(), &x)?;
                let parts = (
                    context.narrow(1, 0, slot)?,
                    context.narrow(1, slot, 8 - slot)?,
                );
                let shared = |precision| {
                    let context = Context {
                        before: &[&parts.0],
                        behind: &[&parts.1],
                    };
                    net.forward_shared(params.tensor(), context, &own, precision)
                };
                let fused = shared(Precision::F32)?;
                assert_eq!(fused.dims(), [9, 29, outputs]);
                assert!(error(&fused, &oracle) < 2e-6, "{}", error(&fused, &oracle));
                let coarse = error(&shared(Precision::Bf16)?, &oracle);
                assert!(coarse < 2e-2, "{coarse}");
            }
        }
    }
    Ok(())
}

#[test]
fn a_constant_row_and_large_values_stay_finite() -> Result<()> {
    for form in FORMS {
        let stream = &mut Stream::new(8, "finite");
        let net = network((3, 32, 2, 2), Activation::Mish, form)?;
        let params = params(&net, stream);
        let x = Tensor::new(&[[0f32; 3], [300.0, -300.0, 300.0]], &Device::Cpu)?;
        let zero = Var::from_tensor(&params.tensor().zeros_like()?)?;
        for p in [params.tensor(), zero.as_tensor()] {
            let y = net.forward(p, &x)?;
            let grads = y.sum_all()?.backward()?;
            for t in [&y, grads.get(p).unwrap()] {
                let values = t.flatten_all()?.to_vec1::<f32>()?;
                assert!(values.iter().all(|v| v.is_finite()), "{form:?}");
            }
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
        pool.install(|| -> Result<Vec<Vec<u64>>> {
            let one = |form| {
                let stream = &mut Stream::new(6, "threads");
                let net = network((23, 64, 6, 2), Activation::Mish, form)?;
                let params = params(&net, stream);
                let x = Var::from_tensor(&draw(stream, &[700, 23], 1.0))?;
                let y = net.forward(params.tensor(), &x)?;
                let grads = y.sqr()?.mean_all()?.backward()?;
                let (_, y_dot) = net.jvp(params.tensor(), &x, &x)?;
                let (context, own) = (
                    draw(stream, &[30, 17], 1.0),
                    draw(stream, &[30, 41, 6], 1.0),
                );
                let parts = [&context];
                let context = Context::before(&parts);
                let shared = net.forward_shared(params.tensor(), context, &own, Precision::F32)?;
                let (of_params, of_x) = (grads.get(params.tensor()), grads.get(&x));
                hashes(&[&y, of_params.unwrap(), of_x.unwrap(), &y_dot, &shared])
            };
            FORMS.into_iter().map(one).collect()
        })
    };
    let single = run(1)?;
    assert_eq!(single, run(2)?);
    assert_eq!(single, run(3)?);
    Ok(())
}

#[test]
fn names_follow_the_layout_of_the_reference_cases() -> Result<()> {
    let weights = |form| -> Result<Vec<String>> {
        let net = network((2, 4, 1, 1), Activation::Relu, form)?;
        let mut layout = ParamLayout::new();
        net.push_layout(&mut layout, "net");
        assert_eq!(layout.len(), net.num_params());
        let weight = |name: &str| name.strip_suffix(".weight").map(str::to_owned);
        let entries = layout.entries().iter();
        Ok(entries.filter_map(|entry| weight(&entry.name)).collect())
    };
    let expected: [&[&str]; 3] = [
        &["in", "block0.fc1", "block0.fc2", "out"],
        &[
            "in",
            "block0.ln1",
            "block0.fc1",
            "block0.ln2",
            "block0.fc2",
            "out",
        ],
        &["in", "in_ln", "block0.fc", "block0.ln", "out"],
    ];
    for (form, expected) in FORMS.into_iter().zip(expected) {
        let expected: Vec<_> = expected.iter().map(|name| format!("net.{name}")).collect();
        assert_eq!(weights(form)?, expected);
    }
    Ok(())
}

#[test]
fn errors_say_what_where_and_how_to_mend_it() -> Result<()> {
    let form = FORMS[1];
    let net = network((3, 4, 2, 1), Activation::Relu, form)?;
    let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu);
    let p = zeros(&[net.num_params()])?;
    let refused = [
        (
            net.forward(&p, &zeros(&[5, 4])?).unwrap_err(),
            "ResidualMlp::forward: `x` has shape [5, 4], expected f32 [.., 3]",
        ),
        (
            net.forward(&zeros(&[2, net.num_params()])?, &zeros(&[5, 3])?)
                .unwrap_err(),
            "one network, no ensemble",
        ),
        (
            net.jvp(&p, &zeros(&[5, 3])?, &zeros(&[4, 3])?).unwrap_err(),
            "ResidualMlp::jvp: `tangent` has shape [4, 3]",
        ),
        (
            net.jacobian(&p, &zeros(&[5, 3])?, 2, 2).unwrap_err(),
            "ResidualMlp::jacobian: `x` has shape [5, 3]",
        ),
        (
            network((3, 0, 2, 1), Activation::Relu, form).unwrap_err(),
            "ResidualMlp: widths of input, hidden layers and output [3, 0, 2]; give widths above zero",
        ),
        (
            network(
                (3, 4, 2, 1),
                Activation::Relu,
                BlockForm::PostActivation { ln_eps: 0.0 },
            )
            .unwrap_err(),
            "ResidualMlp: LayerNorm constant 0; give a positive number",
        ),
    ];
    for (error, expected) in refused {
        assert!(error.to_string().contains(expected), "{error}");
    }
    Ok(())
}
