//! The bulk fills compiled for several instruction sets, chosen when called. All of them give the same bits.
#![allow(unsafe_code)] // calling a function compiled for a wider instruction set is unsafe; the detection beside it makes it sound

use crate::fill;
use crate::philox::Origin;

/// Compiles `fill::$name` for AVX-512, AVX2 and the baseline, and calls the widest that this processor has.
macro_rules! dispatched {
    ($name:ident($($arg:ident: $ty:ty),*)) => {
        pub(crate) fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512dq,avx512bw,avx512vl")]
                fn avx512($($arg: $ty),*) {
                    fill::$name($($arg),*);
                }
                #[target_feature(enable = "avx2")]
                fn avx2($($arg: $ty),*) {
                    fill::$name($($arg),*);
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                {
                    // SAFETY: the four features that the function is compiled for were found on this processor.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: AVX2 was found on this processor.
                    return unsafe { avx2($($arg),*) };
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
