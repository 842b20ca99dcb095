//! Messages say what was found and what to do; help explains its terms.

use zip::CompressionMethod;

use crate::folder::Folder;

fn folder() -> Folder {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 3], &[2.0_f32, 1.0, 0.0, 0.0, 3.0, -1.0]);
    folder.save("y.npy", &[2], &[0_i64, 2]);
    folder
}

#[test]
fn a_negative_number_is_a_value_and_refused_for_a_reason() {
    let folder = folder();
    let eval = "eval --input x.npy --targets y.npy --loss";
    for (options, words) in [
        ("softmax-focal --gamma -1", ["gamma", "finite"]),
        ("softmax --z-loss -1", ["z-loss", "finite"]),
        ("softmax --soft-cap -1", ["soft cap", "positive"]),
        ("softmax --label-smoothing -0.1", ["label smoothing", "0 to 1"]),
        ("softmax --label-smoothing -1e-3", ["label smoothing", "0 to 1"]),
        ("distillation --temperature -1", ["temperature", "positive"]),
        ("sigmoid-focal --alpha -0.5", ["alpha", "0 to 1"]),
    ] {
        folder.refused(&format!("{eval} {options}"), &words);
    }
    for option in ["--max-abs", "--max-rel"] {
        folder.refused(
            &format!("compare --reference x.npy --candidate x.npy {option} -1"),
            &[option, "not negative"],
        );
    }
}

#[test]
fn a_label_that_others_ignore_is_answered_with_the_option() {
    let folder = folder();
    for label in [-100_i64, -1, 255] {
        folder.save("y.npy", &[2], &[0, label]);
        let hint = format!("--ignore-index {label}");
        let eval = "eval --loss softmax --input x.npy --targets y.npy";
        folder.refused(eval, &["y.npy", "row 1", &label.to_string(), &hint]);
        assert!(folder.json(&format!("{eval} {hint}"))["loss"].is_number());
    }
    folder.save("y.npy", &[2], &[0_i64, 3]);
    let outcome = folder.run("eval --loss softmax --input x.npy --targets y.npy");
    assert!(!outcome.stderr.contains("--ignore-index"), "{}", outcome.stderr);
}

#[test]
fn images_without_a_class_axis_are_answered_with_the_option() {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 3, 4, 5], &[0.0_f32; 120]);
    folder.save("y.npy", &[2, 4, 5], &[0_u8; 40]);
    for arguments in [
        "eval --loss softmax --input x.npy --targets y.npy",
        "compare --reference x.npy --candidate x.npy --targets y.npy",
    ] {
        folder.refused(arguments, &["y.npy", "[2, 4, 5]", "--class-axis 1"]);
    }
    folder.save("columns.npy", &[3, 2], &[0.0_f32; 6]);
    folder.save("two.npy", &[2], &[0_u8; 2]);
    folder.refused(
        "eval --loss softmax --input columns.npy --targets two.npy",
        &["two.npy", "[3]", "--class-axis 0"],
    );
}

#[test]
fn a_file_of_another_kind_is_told_by_its_name() {
    let folder = folder();
    let save = |name: &str, bytes: &[u8]| std::fs::write(folder.path(name), bytes).expect("a file");
    save("data.pkl", b"\x80\x02}q\x00.");
    folder.save_npz("zip.pt", &["data.pkl"], CompressionMethod::Stored);
    save("old.pt", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.");
    save("h5.npy", b"\x89HDF\r\n\x1a\n");
    save("gz.npy", b"\x1f\x8b\x08\x00");
    save("text.npy", b"0.5, 1.5\n");
    save("empty.npy", b"");
    std::fs::copy(folder.path("zip.pt"), folder.path("zip.npy")).expect("a file");
    std::fs::copy(folder.path("x.npy"), folder.path("npy.npz")).expect("a file");
    for (name, words) in [
        ("zip.pt", &["torch.save", "numpy.save"][..]),
        ("zip.pt:x", &["torch.save", "numpy.save"]),
        ("old.pt", &["pickle", "numpy.save"]),
        ("h5.npy", &["HDF5"]),
        ("gz.npy", &["gzip", "unpack"]),
        ("text.npy", &["text", "numpy.save"]),
        ("empty.npy", &["empty"]),
        ("zip.npy", &["zip", ".npz"]),
        ("npy.npz", &["not a .npz file"]),
        ("x.npy:logits", &["one array, without a name"]),
    ] {
        let eval = format!("eval --loss softmax --input {name} --targets y.npy");
        folder.refused(&eval, &[&[name], words].concat());
    }
}

#[test]
fn a_broken_header_and_float8_are_told_in_words() {
    let folder = folder();
    for descr in ["<f1", "|V1"] {
        folder.save_bytes("f.npy", descr, &[2, 3], &[0; 6]);
        folder.refused(
            "eval --loss softmax --input f.npy --targets y.npy",
            &["f.npy", descr, "float8", "astype", "expected f64"],
        );
    }
    for header in
        ["not a dictionary", "{'descr': '<f4'}", "{'shape': (2, 3), 'descr': 3}", "{'descr': "]
    {
        let length = (header.len() as u16).to_le_bytes();
        let file = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), &[0; 24]].concat();
        std::fs::write(folder.path("h.npy"), file).expect("a file");
        folder.refused(
            "eval --loss softmax --input h.npy --targets y.npy",
            &["h.npy", "its header is broken", "'fortran_order'", "found"],
        );
    }
    std::fs::write(folder.path("h.npy"), b"\x93NUMPY\x09\x00\x00\x00").expect("a file");
    folder.refused("eval --loss softmax --input h.npy --targets y.npy", &["h.npy", "version 9"]);
}

#[test]
fn help_names_files_clamps_and_conventions() {
    let folder = Folder::new();
    let eval = folder.run("eval --help").stdout;
    for option in [
        "input",
        "targets",
        "class-weights",
        "sample-weights",
        "pos-weight",
        "loss-out",
        "grad-out",
        "hessian-out",
    ] {
        assert!(eval.contains(&format!("--{option} <FILE>")), "{option}");
    }
    for word in
        ["1e-20", "-100", "46.05", "divides", "first NaN", "file.npz:name", "standard input"]
    {
        assert!(eval.contains(word), "{word}");
    }
    for preset in [
        "pytorch",
        "keras",
        "tensorflow",
        "optax",
        "onnx",
        "caffe",
        "paddle",
        "mlx",
        "burn",
        "candle",
        "sklearn",
    ] {
        assert!(eval.contains(preset), "{preset}");
    }
    let compare = folder.run("compare --help").stdout;
    for option in ["reference", "candidate", "targets", "class-weights", "sample-weights"] {
        assert!(compare.contains(&format!("--{option} <FILE>")), "{option}");
    }
    assert!(compare.contains("numpy.allclose"));
}

/// Whether a bar is drawn on a terminal; `None` if no program here can emulate one.
#[cfg(target_os = "linux")]
fn draws_a_bar(folder: &Folder, arguments: &str) -> Option<bool> {
    let command = format!("{} {arguments}", env!("CARGO_BIN_EXE_xent"));
    let output = folder.other("script").args(["-qec", &command, "/dev/null"]).output().ok()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    // The bar redraws itself, with an estimate of the time left.
    Some(String::from_utf8_lossy(&output.stdout).contains('%'))
}

/// Zeros that take no space on the disk.
#[cfg(target_os = "linux")]
fn save_zeros(folder: &Folder, name: &str, descr: &str, shape: &[u64], size: u64) {
    folder.save_bytes(name, descr, shape, &[]);
    let file = std::fs::File::options().write(true).open(folder.path(name)).expect("a file");
    let header = file.metadata().expect("its length").len();
    file.set_len(header + size * shape.iter().product::<u64>()).expect("a hole");
}

#[cfg(target_os = "linux")]
#[test]
fn progress_is_shown_by_work_not_by_rows() {
    let folder = Folder::new();
    // Many rows that take no time, and a few that take some.
    for (rows, classes, worth_it) in [(1 << 17, 2, false), (1 << 10, 1 << 16, true)] {
        save_zeros(&folder, "x.npy", "<f2", &[rows, classes], 2);
        save_zeros(&folder, "y.npy", "|u1", &[rows], 1);
        let eval = "eval --loss softmax --input x.npy --targets y.npy";
        match draws_a_bar(&folder, eval) {
            Some(drawn) => assert_eq!(drawn, worth_it, "{rows} rows of {classes} classes"),
            None => eprintln!("not tested: no program `script` to emulate a terminal"),
        }
    }
}
