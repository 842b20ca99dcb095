//! What the page calls.
//!
//! There is no unsafe block. `unsafe` are the attributes that give a function the name by which the page
//! finds it: two functions of one name would be one to the linker. All names here begin with `xent_`, and
//! nothing else in this program is exported under a name of its own.
//!
//! The page writes into the buffers, by the pointers that it is given, while no function of this module
//! runs: there is one thread, and what runs here never calls the page. No reference to what is in a cell
//! outlives the function that borrowed it, and the pointers come from the cells themselves, so that a borrow
//! does not end them.
#![expect(unsafe_code, reason = "the attributes of what is exported; see above")]

use atomic_refcell::AtomicRefCell;
use xent_core::{Error, Level};

use crate::row::Row;
use crate::text::Text;

/// How many logits there may be.
const CAPACITY: usize = 1 << 16;

static LOGITS: AtomicRefCell<[f32; CAPACITY]> = AtomicRefCell::new([0.0; CAPACITY]);
static TARGETS: AtomicRefCell<[i32; CAPACITY]> = AtomicRefCell::new([0; CAPACITY]);
static PROBABILITIES: AtomicRefCell<[f32; CAPACITY]> = AtomicRefCell::new([0.0; CAPACITY]);
static GRADIENT: AtomicRefCell<[f32; CAPACITY]> = AtomicRefCell::new([0.0; CAPACITY]);
static LOSS: AtomicRefCell<f32> = AtomicRefCell::new(0.0);
static TEXT: AtomicRefCell<Text> = AtomicRefCell::new(Text::EMPTY);

/// The instructions that the level `portable` is made of here.
const INSTRUCTIONS: &str =
    if cfg!(target_feature = "simd128") { "simd128" } else { "no vector instructions" };

/// How many logits and targets there is room for.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_capacity() -> usize {
    CAPACITY
}

/// Where logits are written to.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_logits() -> *mut f32 {
    LOGITS.as_ptr().cast()
}

/// Where the classes of the target are written to.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_targets() -> *mut i32 {
    TARGETS.as_ptr().cast()
}

/// Where probabilities are read.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_probabilities() -> *const f32 {
    PROBABILITIES.as_ptr().cast()
}

/// Where the gradient is read.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_gradient() -> *const f32 {
    GRADIENT.as_ptr().cast()
}

/// Where the text is read that a function has the length of.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_text() -> *const u8 {
    TEXT.borrow().as_bytes().as_ptr()
}

/// The length of the text.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_text_length() -> usize {
    TEXT.borrow().as_bytes().len()
}

/// Computes the softmax loss of so many logits and the first target. The outcome is 0, or says that a
/// message is the text and what it is about: 1 the logits, 2 the target, 3 the label smoothing.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_softmax(logits: usize, label_smoothing: f64) -> u32 {
    with_row(logits, |row| row.softmax(&TARGETS.borrow()[..1], label_smoothing))
}

/// The same of the sigmoid loss with so many targets.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_sigmoid(logits: usize, targets: usize, label_smoothing: f64) -> u32 {
    let targets = targets.min(CAPACITY);
    with_row(logits, |row| row.sigmoid(&TARGETS.borrow()[..targets], label_smoothing))
}

/// The loss that was computed last.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_loss() -> f32 {
    *LOSS.borrow()
}

/// The log-sum-exp of so many logits.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_log_sum_exp(logits: usize) -> f32 {
    xent_core::log_sum_exp(Level::detect(), &LOGITS.borrow()[..logits.min(CAPACITY)])
}

/// Makes the text the fewest digits that are this number and no other.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_format(value: f32) {
    TEXT.borrow_mut().set(format_args!("{value:?}"));
}

/// Makes the text the name of the level, and of the instructions that it is made of.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_level() {
    TEXT.borrow_mut().set(format_args!("{} ({INSTRUCTIONS})", Level::detect()));
}

fn with_row(logits: usize, loss: impl FnOnce(Row<'_>) -> Result<f32, Error>) -> u32 {
    let logits = logits.min(CAPACITY);
    let computed = loss(Row {
        level: Level::detect(),
        logits: &LOGITS.borrow()[..logits],
        probabilities: &mut PROBABILITIES.borrow_mut()[..logits],
        gradient: &mut GRADIENT.borrow_mut()[..logits],
    });
    match computed {
        Ok(loss) => {
            *LOSS.borrow_mut() = loss;
            0
        }
        Err(error) => refused(error),
    }
}

/// Makes the text the message of an error, and says what it is about.
fn refused(error: Error) -> u32 {
    let mut text = TEXT.borrow_mut();
    match error {
        // There is one row, and the page counts as its reader does.
        Error::Label { label, classes, .. } => {
            text.set(format_args!("there is no class {label}: the last is {}", classes - 1));
            2
        }
        Error::Option { .. } => {
            text.set(format_args!("{error}"));
            3
        }
        _ => {
            text.set(format_args!("{error}"));
            1
        }
    }
}
