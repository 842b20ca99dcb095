//! The program brings no start code and takes none.
fn main() {
    println!("cargo::rustc-link-arg-bins=-nostartfiles");
    // memcpy, memset and memcmp, which every Rust program asks of its platform.
    println!("cargo::rustc-link-arg-bins=-lc");
    println!("cargo::rerun-if-changed=build.rs");
}
