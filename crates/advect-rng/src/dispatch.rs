//! The bulk fills compiled for several instruction sets, chosen when called. All of them give the same bits.
#![allow(unsafe_code)] // calling a function compiled for a wider instruction set is unsafe; the detection beside it makes it sound

use crate::fill;
use crate::philox::Origin;

/// Compiles `fill::$name` for AVX-512, AVX2 and the baseline, and calls the widest that this processor has.
macro_rules! dispatched {
    ($name:ident($($arg:ident: $ty:ty),*)) => {
        #[cfg(target_arch = "x86_64")]
        mod $name {
            use super::*;

            #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
            pub(super) fn avx512($($arg: $ty),*) {
                fill::$name($($arg),*);
            }

            #[target_feature(enable = "avx2")]
            pub(super) fn avx2($($arg: $ty),*) {
                fill::$name($($arg),*);
            }
        }

        pub(crate) fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the four features that the function is compiled for were found on this processor.
                    return unsafe { $name::avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: AVX2 was found on this processor.
                    return unsafe { $name::avx2($($arg),*) };
                }
            }
            fill::$name($($arg),*);
        }
    };
}

dispatched!(uniform(origin: Origin, low: f32, width: f32, out: &mut [f32]));
dispatched!(normal(origin: Origin, out: &mut [f32]));
dispatched!(rademacher(origin: Origin, out: &mut [f32]));
dispatched!(bits(origin: Origin, out: &mut [u64]));
dispatched!(indices(origin: Origin, n: u32, out: &mut [u32]));

#[cfg(test)]
mod tests {
    use super::*;

    /// The dispatched and the baseline code give the same bits, at every remainder of the group size.
    #[test]
    fn every_path_gives_the_same_bits() {
        let origin = Origin {
            key: [3, 5],
            stream: 8,
            counter: u64::from(u32::MAX) - 40,
        };
        for n in (0..300).chain([100_001]) {
            let (mut wide, mut base) = (vec![0f32; n], vec![0f32; n]);
            let mut check =
                |what: &str, wide_fill: &dyn Fn(&mut [f32]), base_fill: &dyn Fn(&mut [f32])| {
                    wide_fill(&mut wide);
                    base_fill(&mut base);
                    let same = wide
                        .iter()
                        .zip(&base)
                        .all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{what} at length {n}");
                };
            check("normal", &|o| normal(origin, o), &|o| {
                fill::normal(origin, o)
            });
            check("uniform", &|o| uniform(origin, -0.3, 1.7, o), &|o| {
                fill::uniform(origin, -0.3, 1.7, o)
            });
            check("rademacher", &|o| rademacher(origin, o), &|o| {
                fill::rademacher(origin, o)
            });
            let (mut wide, mut base) = (vec![0; n], vec![0; n]);
            indices(origin, 1_000_003, &mut wide);
            fill::indices(origin, 1_000_003, &mut base);
            assert_eq!(wide, base, "indices at length {n}");
            let (mut wide, mut base) = (vec![0; n], vec![0; n]);
            bits(origin, &mut wide);
            fill::bits(origin, &mut base);
            assert_eq!(wide, base, "bits at length {n}");
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn the_middle_path_gives_the_same_bits() {
        if !is_x86_feature_detected!("avx2") {
            return;
        }
        let origin = Origin {
            key: [1, 2],
            stream: 3,
            counter: 4,
        };
        let (mut middle, mut base) = (vec![0f32; 5003], vec![0f32; 5003]);
        // SAFETY: AVX2 was found on this processor.
        unsafe { normal::avx2(origin, &mut middle) };
        fill::normal(origin, &mut base);
        assert_eq!(middle, base);
        // SAFETY: AVX2 was found on this processor.
        unsafe { uniform::avx2(origin, -1.0, 0.7, &mut middle) };
        fill::uniform(origin, -1.0, 0.7, &mut base);
        assert_eq!(middle, base);
    }
}
