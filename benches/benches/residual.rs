//! RLDT's residual networks on 4096 rows beside the matrix products that they cannot avoid, run by candle in the same run:
//! hidden 512 with one ReLU block, hidden 256 with three Mish blocks and LayerNorm.
#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a bench may stop at an error

use advect_benches::normals;
use advect_kernels::{Activation, BlockForm, ParamLayout, Params, ResidualConfig, ResidualMlp};
use advect_rng::Stream;
use candle_core::{Device, Tensor};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 4096;

fn configs() -> [ResidualConfig; 2] {
    let config = |hidden, n_blocks, activation, ln_eps| ResidualConfig {
        inputs: 59,
        hidden,
        outputs: 24,
        n_blocks,
        activation,
        form: BlockForm::PreActivation { ln_eps },
    };
    [
        config(512, 1, Activation::Relu, None),
        config(256, 3, Activation::Mish, Some(1e-6)),
    ]
}

fn network(config: &ResidualConfig, stream: &mut Stream) -> (ResidualMlp, Params) {
    let net = ResidualMlp::new(config).unwrap();
    let mut layout = ParamLayout::new();
    net.push_layout(&mut layout, "net");
    let values = (normals(stream, &[layout.len()]).unwrap() * 0.05).unwrap();
    let values = values.to_vec1().unwrap();
    let params = Params::from_vec(layout, None, values, &Device::Cpu).unwrap();
    (net, params)
}

/// Rows, transposed weight and cotangent of a layer.
struct Layer {
    x: Tensor,
    weight: Tensor,
    cotangent: Tensor,
}

fn layers(config: &ResidualConfig, stream: &mut Stream) -> Vec<Layer> {
    let mut widths = vec![(config.inputs, config.hidden)];
    widths.resize(1 + 2 * config.n_blocks, (config.hidden, config.hidden));
    widths.push((config.hidden, config.outputs));
    let mut draw = |dims: [usize; 2]| normals(stream, &dims).unwrap();
    let layer = |(inputs, outputs)| Layer {
        x: draw([ROWS, inputs]),
        weight: draw([inputs, outputs]),
        cotangent: draw([ROWS, outputs]),
    };
    widths.into_iter().map(layer).collect()
}

fn forward_floor(layers: &[Layer]) {
    for layer in layers {
        layer.x.matmul(&layer.weight).unwrap();
    }
}

/// The input's cotangent is not needed.
fn step_floor(layers: &[Layer]) {
    forward_floor(layers);
    for (i, layer) in layers.iter().enumerate() {
        layer.x.t().unwrap().matmul(&layer.cotangent).unwrap();
        if i > 0 {
            let weight = layer.weight.t().unwrap();
            layer.cotangent.matmul(&weight).unwrap();
        }
    }
}

fn residual(c: &mut Criterion) {
    let stream = &mut Stream::new(0, "residual");
    let mut group = c.benchmark_group("residual");
    group.sample_size(10);
    for config in configs() {
        let (net, params) = network(&config, stream);
        let x = normals(stream, &[ROWS, config.inputs]).unwrap();
        let layers = layers(&config, stream);
        let id = |what: &str| BenchmarkId::new(what, config.hidden);
        let theta = params.detached();
        group.bench_function(id("forward-floor"), |b| b.iter(|| forward_floor(&layers)));
        group.bench_function(id("forward"), |b| {
            b.iter(|| net.forward(&theta, &x).unwrap());
        });
        group.bench_function(id("step-floor"), |b| b.iter(|| step_floor(&layers)));
        group.bench_function(id("step"), |b| {
            b.iter(|| {
                let y = net.forward(params.tensor(), &x).unwrap();
                y.sqr().unwrap().mean_all().unwrap().backward().unwrap()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, residual);
criterion_main!(benches);
