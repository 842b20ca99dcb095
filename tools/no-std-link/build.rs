//! The program has no startup code, its own or the system's.
fn main() {
    println!("cargo::rustc-link-arg-bins=-nostartfiles");
    // memcpy, memset and memcmp, which every Rust program needs from its platform.
    println!("cargo::rustc-link-arg-bins=-lc");
    println!("cargo::rerun-if-changed=build.rs");
}
