//! A machine has exactly the levels whose instructions the standard library detects.

use xent_core::Level;

#[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
fn names() -> Vec<&'static str> {
    let mut names = vec!["portable"];
    let fused = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    if fused && is_x86_feature_detected!("f16c") {
        names.push("avx2");
    }
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512bw");
    if fused && wide {
        names.push("avx512");
    }
    names
}

#[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
fn names() -> Vec<&'static str> {
    // A module is compiled with these instructions or without; the engines that it is tested in
    // fuse.
    if cfg!(all(target_arch = "wasm32", target_feature = "relaxed-simd")) {
        vec!["portable", "relaxed-simd"]
    } else {
        vec!["portable"]
    }
}

#[test]
fn the_levels_are_those_that_the_processor_has() {
    let found: Vec<&str> = Level::available().map(Level::name).collect();
    assert_eq!(found, names());
    assert_eq!(Level::detect().name(), names()[names().len() - 1]);
    assert_eq!(Level::default(), Level::detect());
}

#[test]
fn a_level_has_its_name() {
    for level in Level::available() {
        assert_eq!(Level::by_name(level.name()), Some(level));
        assert_eq!(level.to_string(), level.name());
        assert_eq!(format!("{level:?}"), level.name());
    }
    assert_eq!(Level::by_name("none"), None);
}
