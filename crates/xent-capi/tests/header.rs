//! The header is what cbindgen generates from the sources.

use std::fs;
use std::path::Path;

/// If this variable is set, the header is written instead.
const WRITE: &str = "XENT_WRITE_HEADER";

#[test]
fn the_header_is_up_to_date() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("cbindgen.toml");
    // By its root file: for a folder, cbindgen asks cargo, which may use the network.
    let builder = cbindgen::Builder::new().with_config(config).with_src(folder.join("src/lib.rs"));
    let mut made = Vec::new();
    builder.generate().expect("a header").write(&mut made);
    let made = String::from_utf8(made).expect("text");

    let header = folder.join("include/xent.h");
    if std::env::var_os(WRITE).is_some() {
        fs::write(&header, made).expect("a header that can be written");
        return;
    }
    let found = fs::read_to_string(&header).expect("include/xent.h");
    assert!(
        found == made,
        "include/xent.h is not what cbindgen makes of the sources: \
         {WRITE}=1 cargo test --release --workspace --test header"
    );
}
