//! What the report says about inputs that should be probabilities or their logarithms.

use crate::folder::Folder;

/// The report as text and as JSON.
fn report(folder: &Folder, options: &str) -> (String, serde_json::Value) {
    let outcome = folder.run(&format!("eval {options}"));
    assert_eq!(outcome.status, Some(0), "{}", outcome.stderr);
    (outcome.stdout, folder.json(&format!("eval {options}")))
}

const NOTE: &str = "note        the logits of a quantised model keep more than its probabilities: dump them if you can\n";

#[test]
fn log_probabilities_above_zero_are_counted() {
    let folder = Folder::new();
    folder.save("y.npy", &[4], &[0_i64, 1, -100, 1]);
    folder.save("w.npy", &[4], &[1.0_f32, 1.0, 1.0, 0.0]);
    // Of the last two rows, one is ignored and one has no weight.
    folder.save("x.npy", &[4, 2], &[0.5_f32, -1.0, 4.25, 2.0, 9.0, 9.0, 7.0, 7.0]);
    let options =
        "--loss nll --input x.npy --targets y.npy --sample-weights w.npy --ignore-index -100";
    let (text, json) = report(&folder, options);
    let line = "above zero  3 log-probabilities, the largest 4.25: there is none above 0, probably logits were given\n";
    assert!(text.contains(line), "{text}");
    assert_eq!(json["positive_log_probabilities"], 3);
    assert_eq!(json["largest_log_probability"], 4.25);
    // Classes that are not the last axis.
    folder.save("xc.npy", &[2, 4], &[0.5_f32, 4.25, 9.0, 7.0, -1.0, 2.0, 9.0, 7.0]);
    let (_, columns) =
        report(&folder, &format!("{} --class-axis 0", options.replace("x.npy", "xc.npy")));
    assert_eq!(columns["positive_log_probabilities"], 3);

    folder.save("x.npy", &[4, 2], &[1e-7_f32, -16.0, -0.5, -1.0, 9.0, 9.0, 7.0, 7.0]);
    let (text, json) = report(&folder, options);
    assert!(text.contains("above zero  1 log-probabilities, the largest 0.00000010"), "{text}");
    assert!(text.contains("there is none above 0, probably by rounding\n"), "{text}");
    assert_eq!(json["positive_log_probabilities"], 1);

    folder.save("x.npy", &[4, 2], &[0.0_f32, -16.0, -0.5, -1.0, 9.0, 9.0, 7.0, 7.0]);
    let (text, json) = report(&folder, options);
    assert!(!text.contains("above zero") && !text.contains("note"), "{text}");
    assert_eq!(json["positive_log_probabilities"], 0);
    assert!(json["rows_with_wrong_sum"].is_null() && json["largest_log_probability"].is_null());
    // Logits may be above zero.
    let (text, json) =
        report(&folder, "--loss softmax --ignore-index -100 --input x.npy --targets y.npy");
    assert!(!text.contains("above zero"), "{text}");
    assert!(json["positive_log_probabilities"].is_null());
}

#[test]
fn quantised_probabilities_are_judged_by_the_sums_of_their_rows() {
    let folder = Folder::new();
    folder.save("y.npy", &[6], &[0_i64, 1, 2, 0, 0, -100]);
    // In steps of 1/256 above -128; a row is off by more than three halves of one.
    let steps = [
        [255, 0, 0],   // One step, which is missing for a probability of one.
        [86, 85, 85],  // None.
        [128, 128, 0], // None; a tie, and a zero at the target.
        [85, 84, 85],  // Two steps; a tie.
        [200, 100, 0], // Many.
        [255, 255, 255],
    ];
    let bytes: Vec<i8> = steps.as_flattened().iter().map(|step| (step - 128) as i8).collect();
    folder.save("x.npy", &[6, 3], &bytes);
    let scale = "--scale 0.00390625 --zero-point -128 --ignore-index -100";
    let (text, json) = report(
        &folder,
        &format!("--loss multinomial-logistic --input x.npy --targets y.npy {scale}"),
    );
    let lines = "clamped     1 probabilities\n\
                 wrong sum   2 rows, by more than half a step a class\n\
                 ties        2 rows with several largest inputs\n";
    assert!(text.contains(&format!("{lines}{NOTE}")), "{text}");
    assert_eq!(json["rows_with_wrong_sum"], 2);
    assert_eq!(json["rows_with_ties"], 2);
    assert_eq!(json["clamped"], 1);
    assert!(json["positive_log_probabilities"].is_null());
    // Of floats nothing is known.
    folder.save("f.npy", &[1, 3], &[0.5_f32, 0.5, 0.5]);
    folder.save("l.npy", &[1], &[0_u8]);
    let (text, json) = report(&folder, "--loss multinomial-logistic --input f.npy --targets l.npy");
    assert!(!text.contains("wrong sum") && !text.contains("note"), "{text}");
    assert!(json["rows_with_wrong_sum"].is_null() && json["rows_with_ties"].is_null());
}

#[test]
fn quantised_log_probabilities_are_judged_by_the_logarithms_of_their_sums() {
    let folder = Folder::new();
    // In steps of 1/16 below 127, as in LOG_SOFTMAX of TensorFlow Lite.
    let rows: [[f64; 3]; 4] =
        [[0.7, 0.2, 0.1], [0.5, 0.5, 1e-9], [0.9, 0.9, 0.1], [0.8, 0.05, 0.05]];
    let bytes: Vec<i8> = rows
        .as_flattened()
        .iter()
        .map(|p| (127.0 + (16.0 * p.ln()).round()).max(-128.0) as i8)
        .collect();
    folder.save("x.npy", &[4, 3], &bytes);
    folder.save("y.npy", &[4], &[0_i64, 1, 2, 0]);
    let files = "--input x.npy --targets y.npy --scale 0.0625 --zero-point 127";
    let (text, json) = report(&folder, &format!("--loss nll {files}"));
    let lines = "wrong sum   2 rows, by more than half a step a class\n\
                 ties        2 rows with several largest inputs\n";
    assert!(text.contains(&format!("{lines}{NOTE}")), "{text}");
    assert_eq!(json["rows_with_wrong_sum"], 2);
    assert_eq!(json["rows_with_ties"], 2);
    assert_eq!(json["positive_log_probabilities"], 0);
    let (text, json) = report(&folder, &format!("--loss softmax {files}"));
    assert!(!text.contains("wrong sum") && !text.contains("note"), "{text}");
    assert!(json["rows_with_wrong_sum"].is_null());
}
