//! `xent compare`: inside and outside of a tolerance.

use crate::folder::Folder;

/// A reference, and a candidate one step away in one element.
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
    // The tie of the second row is broken otherwise.
    assert_eq!(report["predicted_differently"], 1);
    assert_eq!(report["first_rows_predicted_differently"][0], 1);
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
    let usage = folder.run("compare --reference a.npy --candidate b.npy");
    assert_eq!(usage.status, Some(2));
}
