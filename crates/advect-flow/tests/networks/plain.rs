//! Networks with a plain trunk, and the published parameter counts.

use advect_flow::{
    InputOrder, MeanVelocityNet, NetConfig, Tangent, TimeEmbedding, TrunkConfig, VelocityNet,
};
use advect_kernels::{Activation, Precision};
use candle_core::{Device, Result, Tensor};

use crate::common::{
    ACT, OBS, ROWS, assert_close, assert_gradient, column, max_abs, normals, params,
};

#[test]
fn parameter_counts_are_those_of_flame() -> Result<()> {
    let counts = [
        (17, 6, 149_606, 144_438),
        (105, 8, 173_160, 167_992),
        (348, 17, 239_985, 234_817),
    ];
    for (obs, act, flame_m, flame_r) in counts {
        let config = NetConfig::flame(obs, act, &[256; 3])?;
        assert_eq!(MeanVelocityNet::new(&config)?.layout().len(), flame_m);
        assert_eq!(VelocityNet::new(&config)?.layout().len(), flame_r);
    }
    Ok(())
}

#[test]
fn names_follow_the_layout_of_the_reference_cases() -> Result<()> {
    let config = NetConfig::flame(2, 1, &[4])?;
    let net = MeanVelocityNet::new(&config)?;
    let names: Vec<_> = net
        .layout()
        .entries()
        .iter()
        .map(|e| e.name.as_str())
        .collect();
    let weights: Vec<_> = names
        .iter()
        .filter(|n| n.ends_with("weight"))
        .copied()
        .collect();
    let expected = ["time_r.0", "time_r.1", "time_t.0", "time_t.1", "0", "1"]
        .map(|n| format!("policy.{n}.weight"));
    assert_eq!(weights, expected);
    assert!(
        VelocityNet::new(&config)?
            .layout()
            .find("policy.time.1.bias")
            .is_some()
    );
    Ok(())
}

#[test]
fn mean_velocity_tangent_matches_central_differences_in_z_r_and_t() -> Result<()> {
    let net = MeanVelocityNet::new(&NetConfig::flame(OBS, ACT, &[32, 32])?)?;
    let params = params(net.layout())?;
    let theta = params.detached();
    let (obs, z, v) = (
        normals("obs", &[ROWS, OBS])?,
        normals("z", &[ROWS, ACT])?,
        normals("v", &[ROWS, ACT])?,
    );
    let (r, t) = (column([0.1, 0.3, 0.5, 0.2])?, column([0.9, 0.4, 0.5, 0.8])?);
    let still = z.zeros_like()?;
    for (z_dot, r_dot, t_dot) in [(&v, 0.0, 1.0), (&still, 1.0, 0.0), (&v, -0.5, 2.0)] {
        let tangent = Tangent {
            z: z_dot,
            times: [r_dot, t_dot],
        };
        let (u, dot) = net.jvp(&theta, &obs, &z, [&r, &t], tangent)?;
        assert_close(&u, &net.forward(&theta, &obs, &z, [&r, &t])?, 1e-5)?;
        let h = 4e-3;
        let at = |sign: f64| {
            let z = (&z + (z_dot * (sign * h))?)?;
            let (r, t) = ((&r + sign * h * r_dot)?, (&t + sign * h * t_dot)?);
            net.forward(&theta, &obs, &z, [&r, &t])
        };
        let difference = ((at(1.0)? - at(-1.0)?)? / (2.0 * h))?;
        assert!(max_abs(&difference)? > 1e-3, "the direction has to matter");
        assert_close(&dot, &difference, 2e-3)?;
    }
    Ok(())
}

#[test]
fn velocity_jacobian_agrees_with_tangents_and_differences() -> Result<()> {
    for order in [
        InputOrder::ObsFirst,
        InputOrder::LatentFirst,
        InputOrder::LatentTimeObs,
    ] {
        let time = TimeEmbedding::fourier(3);
        let config = NetConfig {
            order,
            time,
            trunk: TrunkConfig::Mlp {
                hidden: vec![16, 16],
                activation: Activation::Silu,
            },
            ..NetConfig::flame(OBS, ACT, &[16, 16])?
        };
        let net = VelocityNet::new(&config)?;
        let theta = params(net.layout())?.detached();
        let (obs, z, tau) = (
            normals("obs", &[ROWS, OBS])?,
            normals("z", &[ROWS, ACT])?,
            column([0.0, 0.2, 0.7, 1.0])?,
        );
        let (value, jacobian) = net.jacobian(&theta, &obs, &z, [&tau])?;
        assert_close(&value, &net.forward(&theta, &obs, &z, [&tau])?, 1e-5)?;
        for j in 0..ACT {
            let mut unit = vec![0f32; ACT];
            unit[j] = 1.0;
            let direction = Tensor::from_vec(unit, (1, ACT), &Device::Cpu)?
                .broadcast_as((ROWS, ACT))?
                .contiguous()?;
            let column = jacobian.narrow(2, j, 1)?.squeeze(2)?;
            let tangent = Tangent {
                z: &direction,
                times: [0.0],
            };
            let (_, dot) = net.jvp(&theta, &obs, &z, [&tau], tangent)?;
            assert_close(&column, &dot, 1e-5)?;
            let h = 4e-3;
            let at = |sign: f64| {
                let z = (&z + (&direction * (sign * h))?)?;
                net.forward(&theta, &obs, &z, [&tau])
            };
            assert_close(&column, &((at(1.0)? - at(-1.0)?)? / (2.0 * h))?, 2e-3)?;
        }
    }
    Ok(())
}

#[test]
fn candidates_equal_the_forward_pass_of_every_row() -> Result<()> {
    const P: usize = 7;
    let net = MeanVelocityNet::new(&NetConfig::flame(OBS, ACT, &[32, 32])?)?;
    let theta = params(net.layout())?.detached();
    let (obs, z) = (
        normals("obs", &[ROWS, OBS])?,
        normals("z", &[ROWS, P, ACT])?,
    );
    let (r, t) = (
        Tensor::new(&[0.0f32], &Device::Cpu)?,
        Tensor::new(&[1.0f32], &Device::Cpu)?,
    );
    let fast = net.candidates(&theta, &obs, &z, [&r, &t], Precision::F32)?;
    for p in 0..P {
        let one = z.narrow(1, p, 1)?.squeeze(1)?.contiguous()?;
        let expected = net.forward(&theta, &obs, &one, [&r, &t])?;
        assert_close(&fast.narrow(1, p, 1)?.squeeze(1)?, &expected, 1e-5)?;
    }
    Ok(())
}

#[test]
fn gradient_reaches_every_parameter_and_matches_differences() -> Result<()> {
    let net = MeanVelocityNet::new(&NetConfig::flame(OBS, ACT, &[8])?)?;
    let params = params(net.layout())?;
    let (obs, z) = (normals("obs", &[ROWS, OBS])?, normals("z", &[ROWS, ACT])?);
    let (r, t) = (column([0.1, 0.3, 0.5, 0.2])?, column([0.9, 0.4, 0.5, 0.8])?);
    let loss = |theta: &Tensor| net.forward(theta, &obs, &z, [&r, &t])?.sqr()?.mean_all();
    assert_gradient(&params, loss)
}

#[test]
fn a_wrong_observation_width_is_named() -> Result<()> {
    let net = VelocityNet::new(&NetConfig::flame(OBS, ACT, &[8])?)?;
    let theta = params(net.layout())?.detached();
    let tau = Tensor::new(&[0.5f32], &Device::Cpu)?;
    let (obs, z) = (
        normals("obs", &[ROWS, OBS + 1])?,
        normals("z", &[ROWS, ACT])?,
    );
    let error = net
        .forward(&theta, &obs, &z, [&tau])
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`obs` has shape [4, 6], expected [4, 5]"),
        "{error}"
    );
    Ok(())
}
