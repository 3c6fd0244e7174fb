//! Networks with a residual trunk: RLDT's with and without an observation encoder, FM-IRL's.

use advect_flow::{NetConfig, RldtNet, Tangent, TimeEmbedding, TrunkConfig, VelocityNet};
use advect_kernels::{Activation, Precision};
use candle_core::{Device, Result, Tensor};

use crate::common::{
    ACT, OBS, ROWS, assert_close, assert_gradient, column, max_abs, normals, params,
};

fn furniture() -> RldtNet {
    RldtNet {
        hidden: 24,
        n_blocks: 2,
        cond: vec![20, 8],
        ..RldtNet::furniture()
    }
}

/// Networks with a smooth activation and slow features of time, so that differences are exact to second order.
fn networks() -> Result<Vec<VelocityNet>> {
    let gym = RldtNet {
        hidden: 32,
        activation: Activation::Silu,
        ..RldtNet::gym()
    };
    let configs = [
        NetConfig::rldt(OBS, ACT, &gym)?,
        NetConfig::rldt(OBS, ACT, &furniture())?,
        NetConfig::fm_irl(OBS, ACT, 16, 3, TimeEmbedding::rldt(8)?),
    ];
    configs.iter().map(VelocityNet::new).collect()
}

fn weights(net: &VelocityNet) -> Vec<&str> {
    let names = net.layout().entries().iter().map(|e| e.name.as_str());
    names.filter_map(|n| n.strip_suffix(".weight")).collect()
}

#[test]
fn names_follow_the_layout_of_the_reference_cases() -> Result<()> {
    let net = RldtNet {
        n_blocks: 1,
        ..furniture()
    };
    let expected = [
        "time.0",
        "time.1",
        "cond.0",
        "cond.1",
        "in",
        "block0.ln1",
        "block0.fc1",
        "block0.ln2",
        "block0.fc2",
        "out",
    ]
    .map(|name| format!("policy.{name}"));
    let rldt = VelocityNet::new(&NetConfig::rldt(OBS, ACT, &net)?)?;
    assert_eq!(weights(&rldt), expected);

    let config = NetConfig::fm_irl(1, ACT, 16, 1, TimeEmbedding::fm_irl(8)?);
    let expected = [
        "time.0",
        "time.1",
        "in",
        "in_ln",
        "block0.fc",
        "block0.ln",
        "out",
    ]
    .map(|name| format!("disc.{name}"));
    assert_eq!(weights(&VelocityNet::new(&config)?), expected);
    Ok(())
}

/// fm_irl.md section 2.1: about 3.2 million for a joint vector of a dozen numbers; 512 wide for RLDT's Gym tasks.
#[test]
fn parameter_counts_are_those_of_the_papers_sizes() -> Result<()> {
    let time = TimeEmbedding::fm_irl_layer_norm(64)?;
    let fm_irl = VelocityNet::new(&NetConfig::fm_irl(1, 12, 1024, 3, time))?;
    assert_eq!(fm_irl.layout().len() / 10_000, 318);
    let rldt = VelocityNet::new(&NetConfig::rldt(11, 12, &RldtNet::gym())?)?;
    let time = (16 + 1) * 32 + (32 + 1) * 16;
    let trunk = (11 + 12 + 16 + 1) * 512 + 2 * 513 * 512 + 513 * 12;
    assert_eq!(rldt.layout().len(), time + trunk);
    Ok(())
}

#[test]
fn tangents_match_central_differences_in_z_and_time() -> Result<()> {
    for net in networks()? {
        let theta = params(net.layout())?.detached();
        let (obs, z, v) = (
            normals("obs", &[ROWS, OBS])?,
            normals("z", &[ROWS, ACT])?,
            normals("v", &[ROWS, ACT])?,
        );
        let t = column([0.1, 0.4, 0.5, 0.8])?;
        for (z_dot, t_dot) in [(&v, 0.0), (&z.zeros_like()?, 1.0), (&v, 2.0)] {
            let tangent = Tangent {
                z: z_dot,
                times: [t_dot],
            };
            let (f, dot) = net.jvp(&theta, &obs, &z, [&t], tangent)?;
            assert_close(&f, &net.forward(&theta, &obs, &z, [&t])?, 1e-5)?;
            let h = 4e-3;
            let at = |sign: f64| {
                let z = (&z + (z_dot * (sign * h))?)?;
                net.forward(&theta, &obs, &z, [&(&t + sign * h * t_dot)?])
            };
            let difference = ((at(1.0)? - at(-1.0)?)? / (2.0 * h))?;
            assert!(max_abs(&difference)? > 1e-3, "the direction has to matter");
            assert_close(&dot, &difference, 2e-3)?;
        }
    }
    Ok(())
}

#[test]
fn jacobians_consist_of_tangents() -> Result<()> {
    for net in networks()? {
        let theta = params(net.layout())?.detached();
        let (obs, z) = (normals("obs", &[ROWS, OBS])?, normals("z", &[ROWS, ACT])?);
        let t = column([0.0, 0.2, 0.7, 0.9])?;
        let (value, jacobian) = net.jacobian(&theta, &obs, &z, [&t])?;
        assert_close(&value, &net.forward(&theta, &obs, &z, [&t])?, 1e-5)?;
        let identity = Tensor::eye(ACT, z.dtype(), &Device::Cpu)?;
        for j in 0..ACT {
            let unit = identity.narrow(0, j, 1)?.broadcast_as((ROWS, ACT))?;
            let tangent = Tangent {
                z: &unit.contiguous()?,
                times: [0.0],
            };
            let (_, dot) = net.jvp(&theta, &obs, &z, [&t], tangent)?;
            assert_close(&jacobian.narrow(2, j, 1)?.squeeze(2)?, &dot, 1e-5)?;
        }
    }
    Ok(())
}

#[test]
fn candidates_equal_the_forward_pass_of_every_row() -> Result<()> {
    const P: usize = 7;
    for net in networks()? {
        let theta = params(net.layout())?.detached();
        let (obs, z) = (
            normals("obs", &[ROWS, OBS])?,
            normals("z", &[ROWS, P, ACT])?,
        );
        let t = Tensor::new(&[0.25f32], &Device::Cpu)?;
        let fast = net.candidates(&theta, &obs, &z, [&t], Precision::F32)?;
        for p in 0..P {
            let one = z.narrow(1, p, 1)?.squeeze(1)?.contiguous()?;
            let expected = net.forward(&theta, &obs, &one, [&t])?;
            assert_close(&fast.narrow(1, p, 1)?.squeeze(1)?, &expected, 1e-5)?;
        }
    }
    Ok(())
}

#[test]
fn gradients_reach_every_parameter_and_match_differences() -> Result<()> {
    for net in networks()? {
        let params = params(net.layout())?;
        let (obs, z) = (normals("obs", &[ROWS, OBS])?, normals("z", &[ROWS, ACT])?);
        let t = column([0.1, 0.3, 0.5, 0.2])?;
        assert_gradient(&params, |theta: &Tensor| {
            net.forward(theta, &obs, &z, [&t])?.sqr()?.mean_all()
        })?;
    }
    Ok(())
}

#[test]
fn an_encoder_goes_with_a_plain_trunk_too() -> Result<()> {
    let config = NetConfig {
        cond: vec![6, 2],
        ..NetConfig::flame(OBS, ACT, &[16])?
    };
    let net = VelocityNet::new(&config)?;
    let expected = ["time.0", "time.1", "cond.0", "cond.1", "0", "1"];
    assert_eq!(weights(&net), expected.map(|name| format!("policy.{name}")));
    let params = params(net.layout())?;
    let (obs, z) = (normals("obs", &[ROWS, OBS])?, normals("z", &[ROWS, ACT])?);
    let t = column([0.1, 0.3, 0.5, 0.2])?;
    let (value, _) = net.jacobian(params.tensor(), &obs, &z, [&t])?;
    assert_close(&value, &net.forward(params.tensor(), &obs, &z, [&t])?, 1e-5)?;
    assert_gradient(&params, |theta: &Tensor| {
        net.forward(theta, &obs, &z, [&t])?.sqr()?.mean_all()
    })
}

#[test]
fn what_a_residual_trunk_lacks_is_said() -> Result<()> {
    let net = &networks()?[0];
    let theta = params(net.layout())?;
    let (obs, z) = (normals("obs", &[ROWS, OBS])?, normals("z", &[ROWS, ACT])?);
    let t = column([0.0, 0.2, 0.7, 0.9])?;
    let error = net.jvp_tracked(theta.tensor(), &obs, &z, [&t], &z);
    let message = error.unwrap_err().to_string();
    assert!(
        message.contains(
            "a residual trunk has no tangent that can be differentiated; use `TrunkConfig::Mlp`"
        ),
        "{message}"
    );

    let trunk = TrunkConfig::Residual {
        hidden: 0,
        n_blocks: 1,
        activation: Activation::Relu,
        form: advect_kernels::BlockForm::PreActivation { ln_eps: None },
    };
    let config = NetConfig {
        trunk,
        ..NetConfig::flame(OBS, ACT, &[])?
    };
    let message = VelocityNet::new(&config).unwrap_err().to_string();
    assert!(message.contains("give widths above zero"), "{message}");
    Ok(())
}
