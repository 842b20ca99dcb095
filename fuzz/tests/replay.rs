//! The targets without libFuzzer: over the corpus that is checked in, and over random bytes. With
//! `XENT_FUZZ_INPUT` over that file alone.

use std::fs;
use std::path::Path;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use xent_fuzz::{TARGETS, Target};

/// Random inputs of each target, unless `XENT_FUZZ_INPUTS` says how many, as `cargo xtask fuzz --quick` does.
const INPUTS: u64 = 200;
/// Bytes of the longest of them.
const LONGEST: usize = 512;

/// Says which input it was, should the target panic.
struct Input(String);

impl Drop for Input {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("found by {}", self.0);
        }
    }
}

fn replay(name: &str) {
    let &(name, run): &Target = TARGETS.iter().find(|(of, _)| *of == name).expect("a target");
    if let Some(file) = std::env::var_os("XENT_FUZZ_INPUT") {
        return run(&fs::read(file).expect("an input"));
    }
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(&corpus)
        .expect("a corpus")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    for file in files {
        let data = fs::read(&file).expect("an input");
        let _input = Input(file.display().to_string());
        run(&data);
    }
    let inputs = std::env::var("XENT_FUZZ_INPUTS").ok();
    let inputs = inputs.map_or(INPUTS, |count| count.parse().expect("a number of inputs"));
    for seed in 0..inputs {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut data = vec![0; rng.random_range(0..LONGEST)];
        rng.fill(&mut data[..]);
        let _input = Input(format!("the random bytes of seed {seed}"));
        run(&data);
    }
}

macro_rules! replays {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_here() {
            let names: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}
replays! {
    softmax_cross_entropy
    multi_label_softmax
    distillation
    sigmoid_cross_entropy
    multi_label_soft_margin
    logistic_loss
    negative_log_likelihood
    multinomial_logistic
    file_readers
}
