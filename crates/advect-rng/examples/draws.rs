//! Prints the time per value of every bulk draw on this machine, one thread.

use std::hint::black_box;
use std::time::Instant;

use advect_rng::{Stream, TruncatedNormal};

/// Best of several runs, nanoseconds per value.
fn report(name: &str, values: usize, mut run: impl FnMut()) {
    let best = (0..20)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    let per_value = 1e9 * best / values as f64;
    println!(
        "{name:32} {per_value:7.2} ns/value {:8.1} M/s",
        1e3 / per_value
    );
}

fn main() -> Result<(), advect_rng::BoundsError> {
    const N: usize = 150_000;
    let mut stream = Stream::new(1, "throughput");
    let mut out = vec![0f32; N];
    let mut indices = vec![0u32; N];
    report("uniform", N, || stream.fill_uniform(black_box(&mut out)));
    report("normal", N, || stream.fill_normal(black_box(&mut out)));
    report("rademacher", N, || {
        stream.fill_rademacher(black_box(&mut out))
    });
    report("indices", N, || {
        stream.fill_indices(1_000_000, black_box(&mut indices))
    });
    report("permutation", N, || drop(black_box(stream.permutation(N))));
    report("normal_f64", N, || {
        for _ in 0..N {
            black_box(stream.normal_f64());
        }
    });
    for (low, high) in [
        (-1.0, 1.0),
        (-8.0, 3.0),
        (5.0, 6.0),
        (-20.0, -12.0),
        (400.0, 400.002),
    ] {
        let law = TruncatedNormal::new(low, high)?;
        stream.fill_uniform(&mut out);
        report(&format!("truncated normal [{low}, {high}]"), N, || {
            for u in &out {
                black_box(law.quantile(f64::from(*u)));
            }
        });
    }
    report("TruncatedNormal::new", 1500, || {
        for i in 0..1500 {
            let low = -3.0 + 0.001 * f64::from(i);
            black_box(TruncatedNormal::new(low, low + 1.0)).ok();
        }
    });
    Ok(())
}
