//! One step of a 23-256-256-256-1 ReLU critic on 256 rows (squared error, Adam) beside its floor: the eleven matrix
//! products that it cannot avoid, run by the `gemm` crate on the same number of threads in the same run.
#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a bench may stop at an error

use advect_benches::{network, normals};
use advect_kernels::optim::{Adam, AdamConfig};
use advect_kernels::{Activation, Mlp, Params};
use advect_rng::Stream;
use candle_core::Tensor;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROWS: usize = 256;
const SIZES: [usize; 5] = [23, 256, 256, 256, 1];

/// One `m x n x k` product of row-major operands by the `gemm` crate.
#[derive(Clone)]
struct Product {
    m: usize,
    n: usize,
    k: usize,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Product {
    fn new(m: usize, n: usize, k: usize) -> Self {
        let (a, b, c) = (vec![0.5; m * k], vec![0.5; k * n], vec![0.0; m * n]);
        Self { m, n, k, a, b, c }
    }

    #[allow(unsafe_code)] // the crate's entry point takes pointers
    fn run(&mut self, threads: usize) {
        let parallelism = if threads > 1 {
            gemm::Parallelism::Rayon(threads)
        } else {
            gemm::Parallelism::None
        };
        let (n, k) = (self.n as isize, self.k as isize);
        // SAFETY: the three buffers hold m x k, k x n and m x n values in rows.
        unsafe {
            gemm::gemm(
                self.m,
                self.n,
                self.k,
                self.c.as_mut_ptr(),
                1,
                n,
                false,
                self.a.as_ptr(),
                1,
                k,
                self.b.as_ptr(),
                1,
                n,
                0.0,
                1.0,
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

/// Forward, cotangent and weight-gradient products of every layer; the input's cotangent is not needed.
fn floor() -> Vec<Product> {
    let mut products = Vec::new();
    for (layer, w) in SIZES.windows(2).enumerate() {
        products.push(Product::new(ROWS, w[1], w[0]));
        products.push(Product::new(w[1], w[0], ROWS));
        if layer > 0 {
            products.push(Product::new(ROWS, w[0], w[1]));
        }
    }
    products
}

fn step(mlp: &Mlp, params: &Params, adam: &mut Adam, x: &Tensor, y: &Tensor) {
    let q = mlp.forward(params.tensor(), x).unwrap();
    let loss = (q - y).unwrap().sqr().unwrap().mean_all().unwrap();
    let grads = loss.backward().unwrap();
    adam.step(params, grads.get(params.tensor()).unwrap(), 3e-4)
        .unwrap();
}

fn critic_step(c: &mut Criterion) {
    let stream = &mut Stream::new(0, "critic-step");
    let (mlp, params) = network(&SIZES, Activation::Relu, None, stream).unwrap();
    let mut adam = Adam::new(&params, AdamConfig::default()).unwrap();
    let x = normals(stream, &[ROWS, SIZES[0]]).unwrap();
    let y = normals(stream, &[ROWS, 1]).unwrap();
    let mut products = floor();
    let mut group = c.benchmark_group("critic_step");
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        group.bench_function(BenchmarkId::new("floor", threads), |b| {
            pool.install(|| b.iter(|| products.iter_mut().for_each(|p| p.run(threads))));
        });
        group.bench_function(BenchmarkId::new("step", threads), |b| {
            pool.install(|| b.iter(|| step(&mlp, &params, &mut adam, &x, &y)));
        });
    }
    group.finish();
}

criterion_group!(benches, critic_step);
criterion_main!(benches);
