//! `multinomial_logistic` of the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xent_fuzz::multinomial_logistic(data));
