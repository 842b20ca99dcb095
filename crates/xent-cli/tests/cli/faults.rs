//! Faults around the program: full disks, files that are unreadable or change, signals, closed
//! pipes. In each case an output is complete or absent.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::folder::{Folder, Outcome};

const CLASSES: u64 = 1000;

/// One thread and no SIMD: as slow as possible.
const SLOWLY: &str =
    "eval --loss softmax --threads 1 --level portable --input x.npy --targets y.npy";

/// Creates a `.npy` file of zeros that takes no space on the disk.
fn save_zeros(folder: &Folder, name: &str, descr: &str, shape: &[u64], bytes: u64) {
    folder.save_bytes(name, descr, shape, &[]);
    let file = File::options().write(true).open(folder.path(name)).expect("a file");
    file.set_len(file.metadata().expect("its length").len() + bytes).expect("a hole");
    // Long ago, so that a change shows even if clocks are coarse.
    file.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
}

/// Rows of zeros, their labels, and an empty folder.
fn zeros(rows: u64) -> Folder {
    let folder = Folder::new();
    save_zeros(&folder, "x.npy", "<f4", &[rows, CLASSES], 4 * rows * CLASSES);
    save_zeros(&folder, "y.npy", "|u1", &[rows], rows);
    fs::create_dir(folder.path("out")).expect("a folder");
    folder
}

/// One row of this many thousand classes.
fn long_row(thousands: u64) -> Folder {
    let folder = zeros(1);
    let classes = thousands * 1000;
    save_zeros(&folder, "x.npy", "<f4", &[1, classes], 4 * classes);
    folder
}

/// Two rows of three classes, and their labels.
fn small() -> Folder {
    let folder = Folder::new();
    folder.save("x.npy", &[2, 3], &[2.0_f32, 1.0, 0.0, 0.0, 3.0, -1.0]);
    folder.save("y.npy", &[2], &[0_u8, 1]);
    folder
}

/// The unnamed file in that folder: the program has started to write.
fn part(folder: &Folder, within: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(folder.path(within)).expect("a folder");
    let mut files = entries.map(|entry| entry.expect("an entry").path());
    files
        .find(|file| file.file_name().is_some_and(|name| name.to_string_lossy().contains(".xent-")))
}

/// Runs the program, and acts on it once the folder `out` holds a part of an output; repeats with
/// more numbers until that was not too late.
fn in_the_middle(
    input: impl Fn(u64) -> Folder,
    options: &str,
    meddle: impl Fn(&Folder, &Child),
) -> (Folder, Outcome) {
    for doubled in 0..6 {
        let folder = input(8000 << doubled);
        let mut program = folder.program(&format!("{SLOWLY} {options}"));
        let program = program.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = program.spawn().expect("the program runs");
        while part(&folder, "out").is_none() && child.try_wait().expect("its status").is_none() {
            thread::sleep(Duration::from_millis(1));
        }
        meddle(&folder, &child);
        let outcome = Outcome::of(child.wait_with_output().expect("its output"));
        if outcome.status != Some(0) {
            return (folder, outcome);
        }
    }
    panic!("the program was always faster, or did not notice");
}

/// The files in `out`.
fn outputs(folder: &Folder) -> Vec<String> {
    let entries = fs::read_dir(folder.path("out")).expect("a folder");
    let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
    entries.map(|entry| name(entry).to_string_lossy().into_owned()).collect()
}

fn send(signal: &str, child: &Child) {
    let kill = format!("kill -{signal} {}", child.id());
    let sent = std::process::Command::new("sh").args(["-c", &kill]).status().expect("a shell");
    assert!(sent.success(), "{kill}");
}

#[test]
fn a_signal_leaves_nothing_behind() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        for options in
            ["--reduction none --loss-out out/l.npy", "--grad-out out/g.npy --loss-out out/l.npy"]
        {
            let (folder, outcome) = in_the_middle(zeros, options, |_, child| send(signal, child));
            let words = [&format!("xent: interrupted by SIG{signal}: nothing was written")[..]];
            outcome.is_ended(status, &words);
            assert_eq!(outcome.stdout, "");
            assert!(outputs(&folder).is_empty(), "{options}");
        }
    }
}

#[test]
fn what_was_there_stays_after_a_signal() {
    let options = "--reduction none --loss-out out/l.npy";
    let (folder, _) = in_the_middle(zeros, options, |folder, child| {
        fs::write(folder.path("out/l.npy"), "before").expect("a file");
        send("INT", child);
    });
    assert_eq!(outputs(&folder), ["l.npy"]);
    assert_eq!(fs::read(folder.path("out/l.npy")).expect("a file"), b"before");
}

#[test]
fn one_long_row_can_be_interrupted() {
    let options = "--reduction sum --loss-out out/l.npy";
    let (folder, outcome) = in_the_middle(long_row, options, |_, child| send("INT", child));
    outcome.is_ended(130, &["interrupted by SIGINT"]);
    assert!(outputs(&folder).is_empty());
}

#[test]
fn a_copy_of_standard_input_that_does_not_fit_is_told_with_its_place() {
    let folder = small();
    let mut program = folder.program("eval --loss softmax --input - --targets y.npy");
    program.env("TMPDIR", folder.path("none"));
    let input = File::open(folder.path("x.npy")).expect("a file");
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    std::io::copy(&mut &input, &mut writer).expect("a small file");
    drop(writer);
    let outcome = Outcome::of(program.stdin(reader).output().expect("the program runs"));
    outcome.is_refused(&["standard input: its copy in ", "none: No such file"]);
}

/// It blocks while printing, because nobody reads.
#[test]
fn a_second_signal_ends_it_at_once() {
    for _ in 0..20 {
        let folder = small();
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut filling = writer.try_clone().expect("a pipe");
        let filled =
            thread::spawn(
                move || {
                    while std::io::Write::write_all(&mut filling, &[0; 4096]).is_ok() {}
                },
            );
        let mut program = folder.program(&format!("{SLOWLY} --grad-out g.npy"));
        let program = program.stdout(writer).stderr(Stdio::piped());
        let mut child = program.spawn().expect("the program runs");
        while !folder.path("g.npy").exists() {
            thread::sleep(Duration::from_millis(1));
        }
        let begin = Instant::now();
        while child.try_wait().expect("its status").is_none() {
            if begin.elapsed() > Duration::from_secs(60) {
                child.kill().expect("an end");
            }
            send("INT", &child);
            thread::sleep(Duration::from_millis(10));
        }
        let outcome = Outcome::of(child.wait_with_output().expect("its output"));
        // The command holds the last write end of the pipe.
        drop(reader);
        filled.join().expect("a pipe without a reader");
        if outcome.status != Some(0) {
            assert_eq!((outcome.status, &*outcome.stderr), (Some(130), ""));
            return;
        }
    }
    panic!("the pipe was never full in time");
}

#[test]
fn a_file_that_changes_while_it_is_read_is_refused() {
    let options = "--reduction none --loss-out out/l.npy";
    let open = |folder: &Folder, name: &str| {
        File::options().write(true).open(folder.path(name)).expect("a file")
    };
    for (name, how) in [
        ("x.npy", "cut"),
        ("x.npy", "longer"),
        ("x.npy", "rewritten"),
        ("y.npy", "longer"),
        ("y.npy", "rewritten"),
    ] {
        let (folder, outcome) = in_the_middle(zeros, options, |folder, _| {
            let mut file = open(folder, name);
            let length = file.metadata().expect("its length").len();
            match how {
                "cut" => file.set_len(length / 2).expect("a shorter file"),
                "longer" => file.set_len(length + 1).expect("a longer file"),
                _ => std::io::Write::write_all(&mut file, b"\x93NUMPY").expect("the same bytes"),
            }
        });
        outcome.is_refused(&[name, "changed while it was read"]);
        assert!(outputs(&folder).is_empty(), "{name} {how}");
    }
}

#[test]
fn a_file_that_is_cut_short_is_refused() {
    let folder = small();
    let whole = fs::read(folder.path("x.npy")).expect("a file");
    for length in (0..whole.len()).step_by(5) {
        fs::write(folder.path("x.npy"), &whole[..length]).expect("a file");
        folder.refused(&format!("{SLOWLY} --grad-out g.npy"), &["x.npy: "]);
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    let folder = small();
    fs::create_dir(folder.path("folder.npy")).expect("a folder");
    let mut inputs = vec![
        ("none.npy", "No such file"),
        ("folder.npy", "expected a file, found a folder or a device"),
        ("/dev/null", "expected a file, found a folder or a device"),
        ("x.npy/y.npy", "Not a directory"),
    ];
    if cfg!(target_os = "linux") {
        // Reading the first bytes of this file is an error.
        inputs.push(("/proc/self/mem", "Input/output error"));
    }
    for (input, reason) in inputs {
        let eval = format!("eval --loss softmax --targets y.npy --grad-out g.npy --input {input}");
        folder.refused(&eval, &[input, reason]);
        let compare = format!("compare --max-ulp 0 --reference x.npy --candidate {input}");
        folder.refused(&compare, &[input, reason]);
    }
}

/// Runs the program as a user who may not read that file, if possible here.
fn as_nobody(folder: &Folder, secret: &str, arguments: &str) -> Option<Outcome> {
    if File::open(folder.path(secret)).is_err() {
        return Some(folder.run(arguments));
    }
    // Root may do everything.
    fs::set_permissions(folder.path("."), fs::Permissions::from_mode(0o755)).expect("a mode");
    let run = |program: &str, arguments: &str| {
        let mut nobody = folder.other("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", program]);
        nobody.args(arguments.split_whitespace()).output().ok()
    };
    let able = run(env!("CARGO_BIN_EXE_xent"), "--version").is_some_and(|it| it.status.success());
    if !able {
        eprintln!("not tested: root ignores file modes, and cannot become another user here");
        return None;
    }
    run(env!("CARGO_BIN_EXE_xent"), arguments).map(Outcome::of)
}

#[test]
fn what_may_not_be_read_or_written_is_refused() {
    const SECRET: &str = "secret.npy";
    let folder = small();
    fs::copy(folder.path("x.npy"), folder.path(SECRET)).expect("a file");
    fs::set_permissions(folder.path(SECRET), fs::Permissions::from_mode(0o000)).expect("a mode");
    fs::create_dir(folder.path("out")).expect("a folder");
    fs::set_permissions(folder.path("out"), fs::Permissions::from_mode(0o555)).expect("a mode");
    let eval = "eval --loss softmax --targets y.npy";
    let secret = as_nobody(&folder, SECRET, &format!("{eval} --input {SECRET}"));
    let unwritable =
        as_nobody(&folder, SECRET, &format!("{eval} --input x.npy --grad-out out/g.npy"));
    for (outcome, name) in [(secret, SECRET), (unwritable, "out/g.npy")] {
        if let Some(outcome) = outcome {
            outcome.is_refused(&[name, "Permission denied"]);
        }
    }
    assert_eq!(fs::read_dir(folder.path("out")).expect("a folder").count(), 0);
}

#[test]
fn what_cannot_become_a_file_is_refused_before_anything_is_read() {
    let folder = small();
    fs::create_dir(folder.path("g.npy")).expect("a folder");
    fs::create_dir(folder.path("out")).expect("a folder");
    for option in ["--loss-out", "--grad-out", "--hessian-out"] {
        for (output, reason) in [
            ("none/g.npy", "there is no folder none"),
            ("x.npy/g.npy", "there is no folder x.npy"),
            ("g.npy", "expected a file, found a folder or a device"),
            ("out/", "expected a file, found a folder or a device"),
            // A program that runs as root could replace it.
            ("/dev/null", "expected a file, found a folder or a device"),
            ("./x.npy", "the output is an input"),
            ("out/../y.npy", "the output is an input"),
        ] {
            folder.refused(&format!("{SLOWLY} {option} {output}"), &[output, reason]);
        }
    }
    let twice = format!("{SLOWLY} --loss-out l.npy --grad-out");
    for other in ["./l.npy", "out/../l.npy"] {
        folder.refused(&format!("{twice} {other}"), &[other, "another output"]);
    }
}

/// The outputs of these rows, written under a file size limit of the shell.
fn limited(rows: u64, options: &str) {
    let folder = zeros(rows);
    fs::write(folder.path("g.npy"), "before").expect("a file");
    let mut shell = folder.other("sh");
    // At most 64 or 128 KiB: shells have different block sizes.
    shell.args(["-c", r#"ulimit -f 128 && exec "$0" "$@""#, env!("CARGO_BIN_EXE_xent")]);
    shell.args(SLOWLY.split_whitespace()).args(options.split_whitespace());
    let outcome = Outcome::of(shell.output().expect("a shell"));
    outcome.is_refused(&["xent: g.npy: File too large"]);
    assert_eq!(folder.files(), ["g.npy", "out", "x.npy", "y.npy"], "{rows} rows");
    assert_eq!(fs::read(folder.path("g.npy")).expect("a file"), b"before");
}

#[test]
fn an_output_above_the_limit_leaves_nothing_behind() {
    // Noticed when it is flushed at the end, or long before.
    for rows in [50, 2000] {
        limited(rows, "--grad-out g.npy");
        // The losses alone would fit, and nothing is wrong with them.
        limited(rows, "--grad-out g.npy --loss-out l.npy");
        limited(rows, "--grad-out g.npy --reduction none --loss-out l.npy");
    }
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let mount = r#"mount -t tmpfs -o size=64k none out || exit 99
        "$0" "$@"; status=$?; ls -A out; exit $status"#;
    let able = |unshare: &[&str]| {
        let probe = "mount -t tmpfs -o size=64k none /tmp";
        let mut command = std::process::Command::new(unshare[0]);
        command
            .args(&unshare[1..])
            .args(["sh", "-c", probe])
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let Some(unshare) =
        [&["unshare", "-m"][..], &["unshare", "-rm"]].into_iter().find(|way| able(way))
    else {
        eprintln!("not tested: no disk can be mounted here; only the limit of the shell is tested");
        return;
    };
    for rows in [50, 2000] {
        let folder = zeros(rows);
        let mut command = folder.other(unshare[0]);
        command.args(&unshare[1..]).args(["sh", "-c", mount, env!("CARGO_BIN_EXE_xent")]);
        command.args(SLOWLY.split_whitespace());
        let outputs = "--loss-out out/l.npy --grad-out out/g.npy";
        let output = command.args(outputs.split_whitespace()).output();
        let outcome = Outcome::of(output.expect("the probe ran"));
        outcome.is_refused(&["xent: out/g.npy: No space left on device"]);
        assert_eq!(outcome.stdout, "", "a file was left behind");
    }
}

#[test]
fn all_outputs_get_their_names_or_none() {
    let options = "--grad-out g.npy --loss-out out/l.npy";
    let (folder, outcome) = in_the_middle(zeros, options, |folder, _| {
        let _ = fs::create_dir(folder.path("out/l.npy"));
    });
    outcome.is_refused(&["out/l.npy", "found a folder"]);
    assert_eq!(folder.files(), ["out", "x.npy", "y.npy"]);
    assert_eq!(outputs(&folder), ["l.npy"]);
}

/// Two files cannot be renamed in one step.
#[test]
fn outputs_that_have_their_names_when_another_fails_are_listed() {
    let options = "--grad-out g.npy --loss-out out/l.npy";
    let (folder, outcome) = in_the_middle(zeros, options, |folder, _| {
        if let Some(part) = part(folder, "out") {
            let _ = fs::remove_file(part);
        }
    });
    outcome.is_refused(&["out/l.npy: No such file", "already written: g.npy"]);
    assert_eq!(folder.files(), ["g.npy", "out", "x.npy", "y.npy"]);
    assert!(outputs(&folder).is_empty());
}

#[test]
fn a_reader_that_has_left_changes_no_status() {
    let folder = small();
    folder.save("z.npy", &[2, 3], &[0.0_f32; 6]);
    let compare = "compare --reference x.npy --max-ulp 0 --candidate";
    for json in ["", "--json"] {
        for (arguments, status) in [
            (format!("{SLOWLY} --grad-out g.npy"), 0),
            (format!("{compare} x.npy"), 0),
            (format!("{compare} z.npy"), 1),
        ] {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            drop(reader);
            let mut program = folder.program(&format!("{arguments} {json}"));
            let output = program.stdout(writer).output().expect("the program runs");
            let outcome = Outcome::of(output);
            assert_eq!((outcome.status, &*outcome.stderr), (Some(status), ""), "{arguments}");
        }
    }
    assert!(folder.path("g.npy").exists());
}

#[test]
fn an_error_that_nobody_reads_has_its_status() {
    let folder = small();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut program = folder.program("eval --loss softmax --input none.npy --targets y.npy");
    let output = program.stderr(writer).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_printed_is_an_error() {
    let folder = small();
    let full = File::options().write(true).open("/dev/full").expect("a device");
    let output = folder.program(SLOWLY).stdout(full).output().expect("the program runs");
    Outcome::of(output).is_refused(&["standard output: No space left on device"]);
}
