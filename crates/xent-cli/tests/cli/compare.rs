//! `xent compare`, inside and outside a tolerance.

use half::{bf16, f16};

use crate::folder::Folder;

/// A reference, and a candidate that is one step away in one element.
fn outputs() -> Folder {
    let folder = Folder::new();
    let reference = [2.0_f32, 1.0, 0.0, 0.5, 0.25, 0.5];
    let mut candidate = reference;
    candidate[3] = 0.5_f32.next_down();
    folder.save("a.npy", &[2, 3], &reference);
    folder.save("b.npy", &[2, 3], &candidate);
    folder.save("y.npy", &[2], &[0_u8, 2]);
    folder
}

#[test]
fn the_same_outputs_are_within_any_tolerance() {
    let folder = outputs();
    let report = folder.json("compare --reference a.npy --candidate a.npy --max-ulp 0");
    assert_eq!(report["same_bits"], true);
    assert_eq!(report["worst_ulp"]["distance"], 0.0);
}

#[test]
fn the_worst_element_is_named() {
    let folder = outputs();
    let report = folder.json(
        "compare --reference a.npy --candidate b.npy --targets y.npy --max-ulp 1 --max-abs 1e-6",
    );
    assert_eq!(report["worst_ulp"]["element"], 3);
    assert_eq!(report["worst_ulp"]["distance"], 1.0);
    assert_eq!(report["worst_abs"]["distance"], f64::from(f32::EPSILON) / 4.0);
    // The tie of the second row is broken differently.
    assert_eq!(report["changed_rows"], 1);
    assert_eq!(report["first_changed_rows"][0], 1);
    let (a, b) = (&report["reference_loss"], &report["candidate_loss"]);
    assert!(a.as_f64().unwrap() > 0.0 && b.as_f64().unwrap() > 0.0);
}

#[test]
fn outside_the_tolerance_the_status_is_one() {
    let folder = outputs();
    for tolerance in ["--max-ulp 0", "--max-abs 1e-9", "--max-ulp 9 --max-abs 0"] {
        let outcome =
            folder.run(&format!("compare --reference a.npy --candidate b.npy {tolerance}"));
        assert_eq!(outcome.status, Some(1), "{tolerance}");
        assert!(outcome.stdout.contains("OUTSIDE"));
    }
}

/// The largest distances of one element: in ULP and absolute.
fn worst(folder: &Folder, reference: &str, candidate: &str) -> [f64; 2] {
    let files = format!("--reference {reference} --candidate {candidate}");
    let report = folder.json(&format!("compare {files} --max-abs inf"));
    ["worst_ulp", "worst_abs"].map(|worst| report[worst]["distance"].as_f64().expect("a number"))
}

#[test]
fn two_files_of_one_format_are_compared_in_it() {
    let folder = Folder::new();
    let shape = [1, 2];
    folder.save("a.npy", &shape, &[1.0, -2.0]);
    folder.save("b.npy", &shape, &[1.0_f64.next_up().next_up(), -2.0]);
    assert_eq!(worst(&folder, "a.npy", "b.npy"), [2.0, 2.0 * f64::EPSILON]);
    for (descr, one, step) in [
        ("<V2", bf16::ONE.to_bits(), f64::from(bf16::EPSILON)),
        ("<f2", f16::ONE.to_bits(), f64::from(f16::EPSILON)),
    ] {
        let save = |name: &str, numbers: [u16; 2]| {
            folder.save_bytes(name, descr, &shape, numbers.map(u16::to_le_bytes).as_flattened());
        };
        save("a.npy", [one, 0]);
        save("b.npy", [one + 3, 0]);
        assert_eq!(worst(&folder, "a.npy", "b.npy"), [3.0, 3.0 * step], "{descr}");
        // The smallest numbers above and below zero.
        save("a.npy", [1, 0]);
        save("b.npy", [0x8001, 0]);
        assert_eq!(worst(&folder, "a.npy", "b.npy")[0], 2.0, "{descr}");
    }
    folder.save("a.npy", &shape, &[f64::MAX, 0.0]);
    folder.save("b.npy", &shape, &[f64::MIN, -0.0]);
    let report = folder.json("compare --reference a.npy --candidate b.npy --max-abs inf");
    assert_eq!(report["worst_ulp"]["distance"], 2.0 * f64::MAX.to_bits() as f64);
    assert_eq!(report["same_bits"], false);
}

#[test]
fn files_of_two_formats_are_compared_in_f32_and_their_distance_in_f64() {
    let folder = Folder::new();
    folder.save("wide.npy", &[1, 2], &[0.1, 1e300]);
    folder.save("a.npy", &[1, 2], &[0.1_f32, f32::INFINITY]);
    folder.save("b.npy", &[1, 2], &[0.1_f32.next_up(), f32::INFINITY]);
    let run = |name| {
        let report =
            folder.json(&format!("compare --reference wide.npy --candidate {name} --max-abs inf"));
        assert_eq!(report["formats"]["reference"], "f64");
        assert_eq!(report["formats"]["candidate"], "f32");
        assert_eq!(report["formats"]["ulp"], "f32");
        assert_eq!(report["same_bits"], false);
        report["worst_ulp"]["distance"].clone()
    };
    // Numbers that round to the same f32 are zero steps apart, even if it is infinite.
    assert_eq!((run("a.npy"), run("b.npy")), (0.0.into(), 1.0.into()));
    folder.save("wide.npy", &[1, 2], &[0.1, 0.0]);
    folder.save("a.npy", &[1, 2], &[0.1_f32, 0.0]);
    assert_eq!(worst(&folder, "a.npy", "wide.npy"), [0.0, f64::from(0.1_f32) - 0.1]);
    let compare = "compare --reference wide.npy --candidate a.npy";
    let outcome = folder.run(&format!("{compare} --max-abs 1e-9"));
    assert_eq!(outcome.status, Some(1));
    for line in
        ["format      f32 instead of f64, ULP of f32", "1.0000000149011612e-1 instead of 1e-1"]
    {
        assert!(outcome.stdout.contains(line), "{}", outcome.stdout);
    }
    assert_eq!(folder.run(&format!("{compare} --max-abs 2e-9")).status, Some(0));
}

#[test]
fn each_file_has_the_loss_of_its_format() {
    let folder = Folder::new();
    folder.save("y.npy", &[1], &[0_u8]);
    folder.save("wide.npy", &[1, 2], &[700.0, 0.0]);
    folder.save("single.npy", &[1, 2], &[700.0_f32, 0.0]);
    let report = folder
        .json("compare --reference wide.npy --candidate single.npy --targets y.npy --max-ulp 0");
    let reference = report["reference_loss"].as_f64().expect("a number");
    approx::assert_relative_eq!(reference, (-700.0_f64).exp(), max_relative = 1e-14);
    assert_eq!(report["candidate_loss"], 0.0);
}

#[test]
fn a_gradient_of_bf16_is_read_back() {
    let folder = Folder::new();
    folder.save("y.npy", &[1], &[0_u8]);
    folder.save_bytes("x.npy", "<V2", &[1, 2], &[0x80, 0x3f, 0, 0]);
    let eval = "eval --loss softmax --input x.npy --targets y.npy --grad-out";
    folder.json(&format!("{eval} narrow.npy"));
    folder.json(&format!("{eval} wide.npy --grad-format f32"));
    assert_eq!(worst(&folder, "narrow.npy", "narrow.npy"), [0.0; 2]);
    let [_, distance] = worst(&folder, "wide.npy", "narrow.npy");
    // Half a step of bf16 at 0.27.
    assert!(distance > 0.0 && distance <= f64::from(bf16::EPSILON) / 8.0, "{distance}");
}

#[test]
fn what_is_not_finite_is_outside_unless_it_is_the_same() {
    let folder = Folder::new();
    let numbers = [f32::NAN, f32::INFINITY, f32::MAX];
    folder.save("a.npy", &[1, 3], &numbers);
    folder.save("b.npy", &[1, 3], &[f32::NAN, f32::MAX, f32::MAX]);
    folder.save("c.npy", &[1, 3], &[0.0, f32::INFINITY, f32::MAX]);
    let run = |name| {
        folder.run(&format!("compare --reference a.npy --candidate {name} --max-ulp 9999999"))
    };
    assert_eq!(run("a.npy").status, Some(0));
    assert_eq!(run("b.npy").status, Some(1));
    assert_eq!(run("c.npy").status, Some(1));
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let folder = outputs();
    folder.save("short.npy", &[1, 3], &[0.0_f32; 3]);
    folder.refused(
        "compare --reference a.npy --candidate short.npy --max-ulp 1",
        &["short.npy", "[2, 3]", "[1, 3]"],
    );
    folder.refused(
        "compare --reference a.npy --candidate y.npy --max-ulp 1",
        &["y.npy", "expected floats"],
    );
    folder.refused("compare --reference a.npy --candidate short.npy", &["short.npy", "[2, 3]"]);
}

#[test]
fn arrays_without_rows_are_refused() {
    let folder = Folder::new();
    for shape in [&[0, 3][..], &[2, 3, 0], &[0, 3, 2]] {
        folder.save::<f32>("a.npy", shape, &[]);
        folder.save_columns::<f32>("b.npy", shape, &[]);
        for candidate in ["a.npy", "b.npy"] {
            folder.refused(
                &format!(
                    "compare --reference a.npy --candidate {candidate} --class-axis 1 --max-rel 0"
                ),
                &["a.npy", "nothing to compare", &format!("{shape:?}")],
            );
        }
    }
}
