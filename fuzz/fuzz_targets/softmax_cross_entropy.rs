//! `softmax_cross_entropy` of the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xent_fuzz::softmax_cross_entropy(data));
