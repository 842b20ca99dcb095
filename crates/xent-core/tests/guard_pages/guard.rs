//! The guard works: touching it ends the process.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use region::{Protection, page};
use xent_core::{Level, exp};

use crate::memory::{Place, Slice};

/// The task of a child of this test: touch the byte next to a slice.
const TOUCH: &str = "XENT_GUARD_TOUCH";
const ALIVE: &str = "the slice itself can be read and written";

/// The command that runs a program of this target on another machine, with its arguments separated by spaces.
const RUNNER: &str = "XENT_TEST_RUNNER";

/// This test as a command.
fn this_test() -> Command {
    let this = std::env::current_exe().expect("the path of this test");
    let runner = std::env::var(RUNNER).unwrap_or_default();
    let mut words = runner.split_whitespace();
    match words.next() {
        Some(program) => {
            let mut command = Command::new(program);
            command.args(words).arg(this);
            command
        }
        None => Command::new(this),
    }
}

/// SIGSEGV, or SIGBUS on some systems.
const SIGNALS: [i32; 2] = [11, if cfg!(target_os = "linux") { 7 } else { 10 }];

/// In a child: reads or writes the byte before or after a slice. `cargo xtask sanitize` uses it on a vector, to
/// check that the sanitizer reports it.
fn touch(how: &str) {
    let (place, of) = match how {
        "read behind a vector" => (Place::Heap, 1),
        _ if how.ends_with("before") => (Place::AfterGuard, -1),
        _ => (Place::BeforeGuard, 1),
    };
    let mut slice: Slice<u8> = place.of(&[1, 2, 3]);
    slice.reverse();
    assert_eq!(slice[..], [3, 2, 1]);
    println!("{ALIVE}");
    let edge = if of < 0 { 0 } else { slice.len() - 1 };
    let outside = slice.as_mut_ptr().wrapping_add(edge).wrapping_offset(of);
    // SAFETY: this is wrong on purpose, in a process that exists for nothing else. The pages around a slice between
    // guards have no permissions, so the access ends the process; past the end of a vector, the sanitizer ends it.
    // The value that is read is not used.
    unsafe {
        if how.starts_with("read") {
            let _ = outside.read_volatile();
        } else {
            outside.write_volatile(0);
        }
    }
}

#[test]
fn who_touches_it_dies() {
    if let Ok(how) = std::env::var(TOUCH) {
        return touch(&how);
    }
    for how in ["read before", "read behind", "write before", "write behind"] {
        let child = this_test()
            .args(["--exact", "guard::who_touches_it_dies", "--nocapture"])
            .env(TOUCH, how)
            // AddressSanitizer would report the signal as its own finding.
            .env("ASAN_OPTIONS", "handle_segv=0:handle_sigbus=0")
            .output()
            .expect("a child process");
        assert!(String::from_utf8_lossy(&child.stdout).contains(ALIVE), "{how}: it did not begin");
        let signal = child.status.signal();
        assert!(signal.is_some_and(|n| SIGNALS.contains(&n)), "{how}: {}", child.status);
    }
}

#[test]
fn pages_beside_a_slice_have_no_rights() {
    for count in [0, 1, 3, page::size() / 4 - 1, page::size() / 4, 3 * page::size()] {
        let values = vec![0.5_f32; count];
        for place in Place::GUARDED {
            let slice = place.of(&values);
            let range = slice.as_ptr_range();
            let guard = match place {
                Place::AfterGuard => range.start.cast::<u8>().wrapping_sub(1),
                _ => range.end.cast(),
            };
            let found = region::query(guard).expect("the page is mapped");
            assert_eq!(found.protection(), Protection::NONE, "{count} numbers, {place:?}");
        }
    }
}

#[test]
fn pages_that_are_used_again_are_guarded_still() {
    for count in (0..200).rev() {
        let x = Place::BeforeGuard.of(&vec![0.0_f32; count]);
        let mut out = Place::AfterGuard.of(&vec![0.0_f32; count]);
        exp(Level::detect(), &x, &mut out).expect("equal lengths");
        let before = out.as_ptr().cast::<u8>().wrapping_sub(1);
        for guard in [before, x.as_ptr_range().end.cast()] {
            let found = region::query(guard).expect("the page is mapped");
            assert_eq!(found.protection(), Protection::NONE, "{count} numbers");
        }
    }
}
