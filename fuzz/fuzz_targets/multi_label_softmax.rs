//! `multi_label_softmax` of the library.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| xent_fuzz::multi_label_softmax(data));
