//! The special functions against 60-digit references, and the truncated normal's invariants.
#![allow(clippy::excessive_precision)] // references carry the digits that were computed

use advect_rng::special::{
    log_normal_cdf, normal_cdf, normal_quantile, normal_quantile_from_log,
    truncated_normal_quantile,
};
use advect_rng::{Stream, TruncatedNormal};

fn assert_close(value: f64, expected: f64, relative: f64, what: &str) {
    let error = (value - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
    assert!(
        error <= relative,
        "{what}: {value:e}, expected {expected:e}, relative error {error:e}"
    );
}

#[test]
fn distribution_function_and_its_logarithm() {
    let reference = [
        (-40.0, 3.655893540915030e-350, -804.608442013753788),
        (-37.5, 4.60535300958195484e-308, -707.668989317507191),
        (-20.25, 1.77619986494957003e-91, -208.96076728764924),
        (-9.0, 1.12858840595384065e-19, -43.6281491133321155),
        (-5.125, 1.48768873187766285e-7, -15.7208719219958587),
        (-2.5, 0.00620966532577613517, -5.0816482772786905),
        (-1.0, 0.158655253931457051, -1.84102164500926351),
        (-0.375, 0.353830233327276206, -1.03893804774943365),
        (-0.001, 0.499601057786088937, -0.693945383466965179),
        (0.0, 0.5, -std::f64::consts::LN_2),
        (0.25, 0.598706325682923724, -0.512984075409430432),
        (0.9375, 0.82574928811945763, -0.191464076813386642),
        (2.75, 0.997020236764945443, -0.002984211568374192),
        (6.0, 0.999999999013412355, -9.86587645524375732e-10),
        (9.5, 1.0, -1.04945150753626075e-21),
    ];
    for (x, p, log_p) in reference {
        assert_close(normal_cdf(x), p, 1e-15, &format!("cdf({x})"));
        assert_close(log_normal_cdf(x), log_p, 1e-15, &format!("log cdf({x})"));
    }
    assert_close(
        log_normal_cdf(-300.5),
        -45156.7493973610398,
        1e-15,
        "log cdf(-300.5)",
    );
    assert_eq!(normal_cdf(f64::NEG_INFINITY), 0.0);
    assert_eq!(normal_cdf(f64::INFINITY), 1.0);
    assert!(normal_cdf(f64::NAN).is_nan());
}

#[test]
fn quantiles() {
    let reference = [
        (1e-300, -37.0470962993611992),
        (1e-40, -13.3109213714251709),
        (1e-12, -7.03448382530113193),
        (0.0009765625, -3.09726907819878446),
        (0.025, -1.95996398454005424),
        (0.0625, -1.53412054435254631),
        (0.25, -0.674489750196081743),
        (0.46875, -0.0784124127331121985),
        (0.75, 0.674489750196081743),
        (0.9375, 1.53412054435254631),
        (0.9990234375, 3.09726907819878446),
    ];
    for (p, x) in reference {
        assert_close(normal_quantile(p), x, 1e-15, &format!("quantile({p})"));
    }
    let from_log = [
        (-1e-20, 9.26234008979840757),
        (-0.015625, 2.15698124257070886),
        (-0.5, 0.270288020738735854),
        (-3.0, -1.64692172052771478),
        (-100.0, -13.8884760330038863),
        (-728.0, -38.0379228634830439),
        (-800.0, -39.8846948382566776),
        (-5e4, -316.20665601941755),
        (-1e10, -141421.356146952306),
    ];
    for (log_p, x) in from_log {
        assert_close(
            normal_quantile_from_log(log_p),
            x,
            2e-15,
            &format!("log quantile({log_p})"),
        );
    }
    assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
    assert_eq!(normal_quantile(1.0), f64::INFINITY);
    assert!(normal_quantile(1.5).is_nan() && normal_quantile(-0.1).is_nan());
    assert!(normal_quantile_from_log(0.1).is_nan());
    assert_eq!(
        normal_quantile_from_log(f64::NEG_INFINITY),
        f64::NEG_INFINITY
    );
    assert_eq!(normal_quantile_from_log(0.0), f64::INFINITY);
}

#[test]
fn truncated_quantiles() {
    let reference = [
        (-1.0, 2.0, 0.3, -0.242403817889226803),
        (-500.0, -499.998, 0.25, -499.999285252407642),
        (-500.0, -499.998, 0.875, -499.998164623383322),
        (300.0, 800.0, 0.5, 300.00231045603379),
        (-40.0, -30.5, 0.125, -30.5680296486129892),
        (-33.0, -31.0, 0.0625, -31.0892174493524052),
        (29.0, 31.0, 0.5, 29.023863512020601),
        (-10.0, 9.0, 0.999, 3.09023230616781351),
        (3.0, 3.002, 0.75, 3.00149887343729257),
        (-0.001, 0.001, 0.125, -0.000749999945312497437),
        (8.0, 12.0, 0.9375, 8.3345979017149757),
        (-30.5, 60.0, 0.1, -1.28155156554460047),
        (35.0, 35.5, 0.9990234375, 35.1973247997008423),
    ];
    for (lo, hi, u, x) in reference {
        let value = truncated_normal_quantile(lo, hi, u);
        let error = (value - x).abs();
        let scale = (hi - lo).min(1.0);
        assert!(
            error < 1e-10 * scale,
            "[{lo}, {hi}] at {u}: {value}, expected {x}, off {error:e}"
        );
    }
}

#[test]
fn truncated_quantiles_stay_inside_and_increase() {
    let bounds = [
        (-1.0, 1.0),
        (-0.001, 0.001),
        (-5.0, 900.0),
        (-900.0, 5.0),
        (12.0, 12.002),
        (-29.9999, -29.99),
        (-30.01, -29.999),
        (-31.0, -30.0),
        (-700.0, -699.998),
        (699.0, 720.0),
        (1e6, 1e6 + 1e-3),
        (-8.0, 8.0),
        (0.0, 0.0),
    ];
    for (lo, hi) in bounds {
        let law = TruncatedNormal::new(lo, hi).unwrap();
        let mut last = lo;
        for i in 0..=4096 {
            let x = law.quantile(f64::from(i) / 4096.0);
            assert!(
                x >= last && x <= hi,
                "[{lo}, {hi}] at {i}/4096: {x} after {last}"
            );
            last = x;
        }
        let (first, end) = (law.quantile(0.0), law.quantile(1.0));
        assert!(
            (first - lo).abs() <= 1e-9 * lo.abs().max(1.0) || lo < -30.0,
            "{first} is not {lo}"
        );
        assert!(
            (end - hi).abs() <= 1e-9 * hi.abs().max(1.0) || hi > 30.0,
            "{end} is not {hi}"
        );
    }
}

#[test]
fn truncated_quantile_is_antisymmetric_under_reflection() {
    for (lo, hi) in [(-2.0, 5.0), (1.0, 3.0), (35.0, 36.0), (-400.0, -399.0)] {
        for u in [0.125, 0.5, 0.9375] {
            let x = truncated_normal_quantile(lo, hi, u);
            assert_eq!(
                x,
                -truncated_normal_quantile(-hi, -lo, 1.0 - u),
                "[{lo}, {hi}] at {u}"
            );
        }
    }
}

#[test]
fn unbounded_sides_and_bad_bounds() {
    let inf = f64::INFINITY;
    assert_close(
        truncated_normal_quantile(-inf, inf, 0.025),
        -1.95996398454005424,
        1e-15,
        "whole line",
    );
    let x = truncated_normal_quantile(-inf, -50.0, 0.5);
    assert_close(
        log_normal_cdf(x),
        log_normal_cdf(-50.0) - 2f64.ln(),
        1e-13,
        "half of a tail",
    );
    for (lo, hi) in [
        (1.0, 0.0),
        (f64::NAN, 1.0),
        (0.0, f64::NAN),
        (inf, inf),
        (-inf, -inf),
    ] {
        let error = TruncatedNormal::new(lo, hi).unwrap_err();
        assert!(error.to_string().contains("low <= high"), "{error}");
        assert!(truncated_normal_quantile(lo, hi, 0.5).is_nan());
    }
    let mut out = [0.0];
    Stream::new(0, "bad").fill_truncated_standard_normal(2.0, 1.0, &mut out);
    assert!(out[0].is_nan());
}
