//! Prints the time of the host kernels at the sizes of the published runs: proposals, Adam, SVGD.

use std::time::Instant;

use advect_kernels::kernel_matrix::{Bandwidth, RadialKernel};
use advect_kernels::{Adam, AdamConfig, ParamLayout, Params, random, svgd, threads, truncnorm};
use advect_rng::Stream;
use candle_core::{DType, Device, Result};

/// Best of several runs, nanoseconds per value.
fn report(name: &str, values: usize, mut run: impl FnMut() -> Result<()>) -> Result<()> {
    let mut best = f64::INFINITY;
    for _ in 0..20 {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    let per_value = 1e9 * best / values as f64;
    println!("{name:36} {:9.3} ms {per_value:8.2} ns/value", 1e3 * best);
    Ok(())
}

fn main() -> Result<()> {
    let wanted = std::env::args().nth(1).and_then(|n| n.parse().ok());
    let used = threads::init(wanted).map_err(candle_core::Error::from)?;
    println!("{used} threads");
    let (device, mut stream) = (Device::Cpu, Stream::new(1, "timing"));

    let (rows, proposals, dim) = (256, 100, 6);
    let z = random::normal(&mut stream, (rows, dim), &device)?;
    let t = random::uniform(&mut stream, 0.001, 0.9946, rows, &device)?.to_dtype(DType::F64)?;
    let u = random::uniform(&mut stream, 0.0, 1.0, (rows, proposals, dim), &device)?;
    let c_a = t.affine(-1.0, 1.0)?;
    report("proposals 256 x 100 x 6", rows * proposals * dim, || {
        truncnorm::propose(&z, &c_a, &t, &u).map(drop)
    })?;

    let mut layout = ParamLayout::new();
    layout.push("critic", &[137_985]);
    let params = Params::zeros(layout, Some(2), &device)?;
    let grad = random::normal(&mut stream, (2, 137_985), &device)?;
    let config = AdamConfig {
        clip_norm: Some(1.0),
        ..AdamConfig::default()
    };
    let mut adam = Adam::new(&params, config)?;
    report("Adam with clipping, 2 x 137985", 275_970, || {
        adam.step(&params, &grad, 1e-3).map(drop)
    })?;

    let (states, particles, width) = (256, 8, 24);
    let [y, a, g] =
        [(); 3].map(|()| random::normal(&mut stream, (states, particles, width), &device));
    let (y, a, g) = (y?, a?, g?);
    report(
        "SVGD direction 256 x 8 x 8 x 24",
        states * particles * particles,
        || {
            svgd::direction(
                RadialKernel::Rbf,
                &y,
                &a,
                &g,
                &Bandwidth::MedianPerQuery,
                None,
            )
            .map(drop)
        },
    )?;
    report(
        "random::normal 256 x 100 x 6",
        rows * proposals * dim,
        || random::normal(&mut stream, (rows, proposals, dim), &device).map(drop),
    )
}
