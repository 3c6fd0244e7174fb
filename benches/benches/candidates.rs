//! Scoring 100 candidates of 256 states by twin 23-256-256-256-1 Mish critics, in f32 and in bf16.
#![allow(missing_docs, clippy::unwrap_used)] // criterion's macros; a bench may stop at an error

use advect_benches::{network, normals};
use advect_kernels::{Activation, Context, Precision};
use advect_rng::Stream;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Multiply-adds of the twin critics per candidate, the shared part of the first layer left out.
const MACS: u64 = 2 * (6 * 256 + 2 * 256 * 256 + 256);

fn candidates(c: &mut Criterion) {
    let stream = &mut Stream::new(0, "candidates");
    let (mlp, params) =
        network(&[23, 256, 256, 256, 1], Activation::Mish, Some(2), stream).unwrap();
    let obs = normals(stream, &[256, 17]).unwrap();
    let act = normals(stream, &[256, 100, 6]).unwrap();
    let mut group = c.benchmark_group("candidates");
    group
        .sample_size(20)
        .throughput(Throughput::Elements(2 * 25_600 * MACS));
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        for precision in [Precision::F32, Precision::Bf16] {
            let id = BenchmarkId::new(format!("{precision:?}"), threads);
            group.bench_function(id, |b| {
                pool.install(|| {
                    b.iter(|| {
                        mlp.forward_shared(
                            params.tensor(),
                            Context::before(&[&obs]),
                            &act,
                            precision,
                        )
                        .unwrap()
                    })
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, candidates);
criterion_main!(benches);
