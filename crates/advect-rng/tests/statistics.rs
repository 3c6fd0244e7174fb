//! Distribution tests with fixed seeds. Thresholds are at a level of about 1e-6, so a wrong law fails and chance does not.

use advect_rng::special::normal_cdf;
use advect_rng::{Stream, TruncatedNormal};

const N: usize = 200_003; // ends inside a group of lanes

/// Kolmogorov-Smirnov: sup distance times sqrt(n) stays under 2.7 (level 1e-6).
fn assert_ks(mut levels: Vec<f64>, what: &str) {
    levels.sort_by(f64::total_cmp);
    let n = levels.len() as f64;
    let distance = levels
        .iter()
        .enumerate()
        .map(|(i, u)| (u - i as f64 / n).abs().max((u - (i + 1) as f64 / n).abs()))
        .fold(0.0, f64::max);
    assert!(
        distance * n.sqrt() < 2.7,
        "{what}: KS statistic {}",
        distance * n.sqrt()
    );
}

/// Pearson's chi-square stays within 5 standard deviations of its mean, on both sides.
fn assert_chi_square(counts: &[u64], what: &str) {
    let expected = counts.iter().sum::<u64>() as f64 / counts.len() as f64;
    let statistic: f64 = counts
        .iter()
        .map(|c| (*c as f64 - expected).powi(2) / expected)
        .sum();
    let freedom = (counts.len() - 1) as f64;
    let z = (statistic - freedom) / (2.0 * freedom).sqrt();
    assert!(
        z.abs() < 5.0,
        "{what}: chi-square {statistic} at {freedom} degrees of freedom"
    );
}

fn assert_uncorrelated(a: &[f32], b: &[f32], what: &str) {
    let n = a.len() as f64;
    let product: f64 = a
        .iter()
        .zip(b)
        .map(|(x, y)| f64::from(*x) * f64::from(*y))
        .sum();
    let z = product / n.sqrt();
    assert!(z.abs() < 5.0, "{what}: correlation z {z}");
}

fn normals(stream: &mut Stream) -> Vec<f32> {
    let mut out = vec![0.0; N];
    stream.fill_normal(&mut out);
    out
}

#[test]
fn uniform_fill_is_uniform_and_open() {
    let mut out = vec![0.0; N];
    Stream::new(1, "uniform").fill_uniform(&mut out);
    assert!(out.iter().all(|u| *u > 0.0 && *u < 1.0));
    let mut counts = [0; 1024];
    out.iter().for_each(|u| counts[(u * 1024.0) as usize] += 1);
    assert_chi_square(&counts, "uniform cells");
    assert_ks(out.iter().map(|u| f64::from(*u)).collect(), "uniform");
    let mut range = vec![0.0; N];
    Stream::new(1, "uniform").fill_uniform_range(-3.0, 5.0, &mut range);
    for (r, u) in range.iter().zip(&out) {
        assert_eq!(*r, -3.0 + 8.0 * u);
    }
}

#[test]
fn normal_fill_is_normal() {
    let out = normals(&mut Stream::new(2, "normal"));
    assert_ks(
        out.iter().map(|x| normal_cdf(f64::from(*x))).collect(),
        "normal",
    );
    let moment = |k: i32| out.iter().map(|x| f64::from(*x).powi(k)).sum::<f64>() / N as f64;
    for (k, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let z = (moment(k) - expected) / (f64::sqrt(variance / N as f64));
        assert!(z.abs() < 5.0, "moment {k}: z {z}");
    }
    for shift in 1..5 {
        assert_uncorrelated(&out[shift..], &out[..N - shift], "neighbours");
    }
    let beyond_four = out.iter().filter(|x| x.abs() > 4.0).count();
    assert!(
        (2..=28).contains(&beyond_four),
        "{beyond_four} values beyond 4, expected 12.7"
    );
}

#[test]
fn squares_of_pairs_are_independent() {
    let squares: Vec<f32> = normals(&mut Stream::new(3, "pairs"))
        .iter()
        .map(|x| x * x - 1.0)
        .collect();
    for shift in 1..4 {
        let scaled: Vec<f32> = squares.iter().map(|s| s / 2.0).collect();
        assert_uncorrelated(&squares[shift..], &scaled[..N - shift], "squares");
    }
}

#[test]
fn single_draws_follow_their_laws() {
    let mut stream = Stream::new(4, "single");
    let mut collect = |draw: fn(&mut Stream) -> f64| -> Vec<f64> {
        (0..20_000).map(|_| draw(&mut stream)).collect()
    };
    assert_ks(collect(|s| f64::from(s.uniform_f32())), "uniform_f32");
    assert_ks(collect(Stream::uniform_f64), "uniform_f64");
    assert_ks(
        collect(|s| normal_cdf(f64::from(s.normal_f32()))),
        "normal_f32",
    );
    assert_ks(collect(|s| normal_cdf(s.normal_f64())), "normal_f64");
    assert_ks(
        collect(|s| (f64::from(s.next_u32()) + 0.5) / 2f64.powi(32)),
        "next_u32",
    );
}

#[test]
fn truncated_normals_follow_their_law() {
    for (low, high) in [(-1.0f32, 1.0f32), (0.5, 4.0), (-9.0, -6.0), (40.0, 41.0)] {
        let mut out = vec![0.0; 50_000];
        let mut stream = Stream::new(5, "truncated");
        stream.fill_truncated_standard_normal(low, high, &mut out);
        assert!(out.iter().all(|x| *x >= low && *x <= high));
        // Upper tail probabilities relative to the interval, computed as ratios so that far tails keep their digits.
        let log_tail = |x: f32| advect_rng::special::log_normal_cdf(f64::from(-x.abs()));
        let level = |x: f32| {
            if low >= 0.0 || high <= 0.0 {
                let (near, far) = if low >= 0.0 { (low, high) } else { (high, low) };
                let ratio = |y: f32| (log_tail(y) - log_tail(near)).exp();
                (ratio(x) - ratio(far)) / (1.0 - ratio(far))
            } else {
                let p = |y: f32| normal_cdf(f64::from(y));
                (p(x) - p(low)) / (p(high) - p(low))
            }
        };
        assert_ks(
            out.iter().map(|x| level(*x)).collect(),
            &format!("truncated [{low}, {high}]"),
        );
    }
}

#[test]
fn rademacher_signs_are_balanced_and_independent() {
    let mut out = vec![0.0; N];
    Stream::new(6, "signs").fill_rademacher(&mut out);
    assert!(out.iter().all(|s| s.abs() == 1.0));
    assert_uncorrelated(&out, &vec![1.0; N], "mean");
    for shift in [1, 31, 32, 128] {
        assert_uncorrelated(&out[shift..], &out[..N - shift], "signs");
    }
}

#[test]
fn indices_and_below_are_uniform() {
    let mut stream = Stream::new(7, "indices");
    let mut out = vec![0; N];
    stream.fill_indices(37, &mut out);
    let mut counts = [0; 37];
    out.iter().for_each(|i| counts[*i as usize] += 1);
    assert_chi_square(&counts, "indices");
    let mut counts = [0; 6];
    (0..60_000).for_each(|_| counts[stream.below(6) as usize] += 1);
    assert_chi_square(&counts, "below(6)");
    // An n where a plain remainder would favour the lower half by a third.
    let n = 3u64 << 62;
    let mut halves = [0; 2];
    (0..60_000).for_each(|_| halves[usize::from(stream.below(n) >= n / 2)] += 1);
    assert_chi_square(&halves, "below(3 * 2^62)");
    assert_eq!((stream.below(0), stream.below(1)), (0, 0));
    stream.fill_indices(0, &mut out);
    assert!(out.iter().all(|i| *i == 0));
}

#[test]
fn permutations_are_uniform() {
    let mut stream = Stream::new(8, "permutation");
    let mut counts = [0; 24];
    for _ in 0..48_000 {
        let p = stream.permutation(4);
        let rank = p[0] * 6 + p[1..].iter().filter(|x| **x < p[1]).count() as u32 * 2;
        counts[(rank + u32::from(p[2] > p[3])) as usize] += 1;
    }
    assert_chi_square(&counts, "permutations of 4");
    let mut long = stream.permutation(1000);
    assert_ne!(long, (0..1000).collect::<Vec<u32>>());
    long.sort_unstable();
    assert_eq!(long, (0..1000).collect::<Vec<u32>>());
    assert_eq!(stream.permutation(0), Vec::<u32>::new());
    assert_eq!(stream.permutation(1), vec![0]);
}

#[test]
fn streams_are_independent() {
    let root = Stream::new(9, "a");
    let mut streams = vec![
        root.clone(),
        Stream::new(9, "b"),
        Stream::new(10, "a"),
        Stream::new(9, ""),
    ];
    streams.extend((0..4).map(|i| root.fork(&format!("env/{i}"))));
    streams.push(root.fork("env/0").fork("env/0"));
    streams.push(Stream::new(9, "a\0"));
    let values: Vec<Vec<f32>> = streams.iter_mut().map(normals).collect();
    for i in 0..values.len() {
        for j in 0..i {
            assert_uncorrelated(&values[i], &values[j], &format!("streams {i} and {j}"));
        }
    }
}

#[test]
fn forks_depend_on_identity_alone() {
    let mut parent = Stream::new(11, "parent");
    let fork = parent.fork("child");
    parent.next_u64();
    assert_eq!(parent.fork("child"), fork);
    assert_ne!(parent.fork("other"), fork);
    assert_ne!(
        Stream::new(12, "parent").fork("child").state().stream,
        fork.state().stream
    );
}

#[test]
fn a_saved_state_continues_bit_for_bit() {
    let mut stream = Stream::new(13, "resume").fork("x");
    let mut buffer = vec![0.0; 77];
    for round in 0..50usize {
        let mut resumed = Stream::from_state(stream.state());
        let mut again = vec![0.0; 77];
        stream.fill_normal(&mut buffer[..round + 1]);
        resumed.fill_normal(&mut again[..round + 1]);
        assert_eq!(buffer, again);
        assert_eq!(stream.below(10), resumed.below(10));
        assert_eq!(stream.permutation(round), resumed.permutation(round));
        assert_eq!(stream, resumed);
        buffer.fill(0.0);
    }
}

#[test]
fn every_call_consumes_whole_blocks_and_prefixes_agree() {
    let consumed = |n: usize| {
        let mut stream = Stream::new(14, "blocks");
        let mut out = vec![0.0; n];
        stream.fill_normal(&mut out);
        (stream.state().counter, out)
    };
    let (_, long) = consumed(1000);
    for n in [0, 1, 3, 4, 5, 63, 64, 65, 129] {
        let (blocks, out) = consumed(n);
        assert_eq!(blocks, n.div_ceil(4) as u64);
        assert_eq!(out, long[..n]);
    }
}

#[test]
fn the_position_wraps_without_a_panic() {
    let mut state = Stream::new(15, "wrap").state();
    state.counter = u64::MAX - 3;
    let mut stream = Stream::from_state(state);
    let mut out = vec![0.0; 400];
    stream.fill_uniform(&mut out);
    assert_eq!(stream.state().counter, 96);
}

#[test]
fn known_values_stay_what_they_are() {
    // A change of any of these breaks every saved run: name hashing, block layout and arithmetic are fixed.
    let mut stream = Stream::new(42, "noise");
    let mut out = [0.0f32; 4];
    stream.fill_normal(&mut out);
    let law = TruncatedNormal::new(-1.0, 2.0).unwrap();
    let bits = [
        stream.next_u64(),
        law.quantile(0.3).to_bits(),
        stream.normal_f64().to_bits(),
    ];
    assert_eq!(
        (out.map(f32::to_bits), bits),
        (
            [1_068_743_513, 3_221_405_171, 3_212_786_016, 3_202_570_582],
            [
                5_525_579_344_190_486_725,
                13_821_273_575_096_664_090,
                4_600_582_516_996_887_560
            ],
        )
    );
}
