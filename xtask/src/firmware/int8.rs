//! The network in integers: what the emulated device says of it, against the desk's floats.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use digits_net::int8::{self, SCALE, Weights, ZERO_POINT};
use digits_net::{CLASSES, COUNT, image, label};
use xent_core::{
    Batch, Buffers, Level, Outputs, Quantisation, Shape, SoftmaxBatch, SoftmaxOptions,
    SoftmaxTargets,
};

use super::{COUNTED, PATIENCE, functions};
use crate::{cortex_m, npy};

/// What a row of quantised logits may add to the flash of the evaluation of floats, in bytes.
const MORE_FLASH: u64 = 2048;

/// Runs the program, and compares.
pub(super) fn check(program: &Path, of_floats: &Path, level: Level) -> Result<(), String> {
    let said = cortex_m::run(program, &COUNTED, PATIENCE)?;
    let (results, rows): (Vec<_>, Vec<_>) = said.lines().partition(|line| line.starts_with('#'));
    println!("\nThe network in int8: {}", results.join(" "));
    let here = result(level);
    if results != [&here] {
        return Err(format!("that is not what this machine has: {here}"));
    }

    let folder = crate::target_folder("firmware");
    let dump = folder.join("device-int8.csv");
    fs::write(&dump, rows.join("\n") + "\n")
        .map_err(|error| format!("{}: {error}", dump.display()))?;
    if rows != dump_of(&int8::weights()) {
        return Err("the device's logits are not those of this machine".into());
    }
    if !compare(&folder, &dump)? {
        return Err("the device is too far from the desk".into());
    }
    let flash = |program: &Path, main: &str| {
        let functions =
            functions(program, |name| name.contains("xent_core") || name.starts_with(main))?;
        Ok::<u64, String>(functions.values().sum())
    };
    let (all, floats) = (flash(program, "int8::")?, flash(of_floats, "evaluation::")?);
    let more = all.saturating_sub(floats);
    println!(
        "{all} bytes of flash with the network and the program: {more} more than with floats (at most \
         {MORE_FLASH})"
    );
    if more == 0 || more > MORE_FLASH {
        return Err("that is not what it may take".into());
    }
    Ok(())
}

/// The last line of the program, computed on this machine as a batch.
fn result(level: Level) -> String {
    let logits: Vec<i8> = (0..COUNT).flat_map(|digit| int8::logits(image(digit))).collect();
    let labels: Vec<u32> = (0..COUNT).map(|digit| label(digit) as u32).collect();
    let (mut losses, mut predicted) = (vec![0.0_f32; COUNT], vec![0; COUNT]);
    let quantisation = Quantisation::new(SCALE, ZERO_POINT).expect("a scale");
    let outputs = Outputs { losses: &mut losses, predicted: &mut predicted, ..Outputs::default() };
    let shape = Shape::rows(COUNT, CLASSES).expect("a shape");
    let targets = SoftmaxTargets::Index((&labels[..]).into());
    let buffers = Buffers::loss(&logits).quantised(quantisation);
    SoftmaxBatch::with_options(buffers, shape, targets, SoftmaxOptions::default())
        .and_then(|batch| batch.with_outputs(outputs))
        .expect("all digits have a class")
        .run(level);
    // As exact as a compensated sum of f32.
    let mean = losses.iter().map(|&loss| f64::from(loss)).sum::<f64>() as f32 / COUNT as f32;
    let correct = predicted.iter().zip(&labels).filter(|(a, b)| a == b).count();
    format!("# mean {mean:.6} bits {:08x} correct {correct} of {COUNT}", mean.to_bits())
}

/// The other lines of the program, for a network with these weights in its last layer.
fn dump_of(weights: &Weights) -> Vec<String> {
    let header = "digit,label,x0,x1,x2,x3,x4,x5,x6,x7,x8,x9".to_owned();
    let rows = (0..COUNT).map(|digit| {
        let logits = int8::logits_with(image(digit), weights).map(|q| q.to_string());
        format!("{digit},{},{}", label(digit), logits.join(","))
    });
    std::iter::once(header).chain(rows).collect()
}

/// Runs `xent compare` on the dump of a device and on the logits of the desk, which are f32.
fn compare(folder: &Path, dump: &Path) -> Result<bool, String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let (desk, labels) = (folder.join("desk-logits.npy"), folder.join("labels.npy"));
    let logits = (0..COUNT).flat_map(|digit| digits_net::logits(image(digit)));
    npy::write(&desk, &[COUNT, CLASSES], logits).map_err(|error| failed(&desk, error))?;
    let classes = (0..COUNT).map(|digit| label(digit) as i64);
    npy::write(&labels, &[COUNT], classes).map_err(|error| failed(&labels, error))?;
    let columns = |columns: &str| {
        let mut path = OsString::from(dump);
        path.push(columns);
        PathBuf::from(path)
    };
    let scale = SCALE.to_string();
    let zero_point = ZERO_POINT.to_string();
    println!("\nxent compare: {} with {}", dump.display(), desk.display());
    let mut words: Vec<OsString> = ["xent", "compare", "--reference"].map(Into::into).to_vec();
    words.extend([desk.into(), "--candidate".into(), columns(":3-12").into()]);
    words.extend(
        ["--candidate-scale", &scale, "--candidate-zero-point", &zero_point].map(Into::into),
    );
    words.extend(["--targets".into(), labels.into()]);
    words.extend(
        ["--max-lsb", "2", "--max-loss-difference", "0.02", "--max-changed", "2%"].map(Into::into),
    );
    let report = folder.join("device-int8.html");
    words.extend(["--report".into(), report.into()]);
    xent_cli::compare(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(weights: &Weights) -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        let dump = folder.path().join("device.csv");
        fs::write(&dump, dump_of(weights).join("\n")).expect("a file");
        compare(folder.path(), &dump).expect("a comparison")
    }

    #[test]
    fn the_verdict_changes_when_the_sign_of_one_weight_is_wrong() {
        let mut weights = int8::weights();
        assert!(verdict(&weights));
        let largest = (0..weights.len()).max_by_key(|&at| weights[at].unsigned_abs());
        let weight = &mut weights[largest.expect("a weight")];
        *weight = -*weight;
        assert!(!verdict(&weights));
    }
}
