//! The functions that the page calls.
//!
//! There is no unsafe block. The only `unsafe` are the attributes that give a function the name by which the page
//! finds it: the linker would take two functions of one name for the same. All names here begin with `xent_`, and
//! nothing else in this program is exported under a name of its own.
//!
//! The page writes into the buffers, through the pointers it is given, only while no function of this module runs:
//! there is one thread, and this module never calls the page. No reference into a cell outlives the function that
//! borrowed it, and the pointers come from the cells themselves, so a borrow does not invalidate them.
#![expect(unsafe_code, reason = "the attributes of what is exported; see above")]

use atomic_refcell::AtomicRefCell;
use xent_core::{Error, Level};

use crate::row::Row;
use crate::text::Text;

/// The maximum number of logits.
const CAPACITY: usize = 1 << 16;

static LOGITS: AtomicRefCell<[f32; CAPACITY]> = AtomicRefCell::new([0.0; CAPACITY]);
static TARGETS: AtomicRefCell<[i32; CAPACITY]> = AtomicRefCell::new([0; CAPACITY]);
static PROBABILITIES: AtomicRefCell<[f32; CAPACITY]> = AtomicRefCell::new([0.0; CAPACITY]);
static GRADIENT: AtomicRefCell<[f32; CAPACITY]> = AtomicRefCell::new([0.0; CAPACITY]);
static LOSS: AtomicRefCell<f32> = AtomicRefCell::new(0.0);
static TEXT: AtomicRefCell<Text> = AtomicRefCell::new(Text::EMPTY);

/// The instructions behind the level `portable` here.
const INSTRUCTIONS: &str =
    if cfg!(target_feature = "simd128") { "simd128" } else { "no vector instructions" };

/// The capacity for logits and targets.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_capacity() -> usize {
    CAPACITY
}

/// The buffer for the logits.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_logits() -> *mut f32 {
    LOGITS.as_ptr().cast()
}

/// The buffer for the target's classes.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_targets() -> *mut i32 {
    TARGETS.as_ptr().cast()
}

/// The buffer of the probabilities.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_probabilities() -> *const f32 {
    PROBABILITIES.as_ptr().cast()
}

/// The buffer of the gradient.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_gradient() -> *const f32 {
    GRADIENT.as_ptr().cast()
}

/// The buffer of the text, for functions that return its length.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_text() -> *const u8 {
    TEXT.borrow().as_bytes().as_ptr()
}

/// The length of the text.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_text_length() -> usize {
    TEXT.borrow().as_bytes().len()
}

/// Computes the softmax loss of this many logits with the first target. Returns 0, or if the text is an error
/// message, what it is about: 1 the logits, 2 the target, 3 the label smoothing.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_softmax(logits: usize, label_smoothing: f64) -> u32 {
    with_row(logits, |row| row.softmax(&TARGETS.borrow()[..1], label_smoothing))
}

/// The same for the sigmoid loss with this many targets.
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

/// The log-sum-exp of this many logits.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_log_sum_exp(logits: usize) -> f32 {
    xent_core::log_sum_exp(Level::detect(), &LOGITS.borrow()[..logits.min(CAPACITY)])
}

/// Writes the number to the text, with the fewest digits that identify it.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn xent_format(value: f32) {
    TEXT.borrow_mut().set(format_args!("{value:?}"));
}

/// Writes the name of the level to the text, and its instructions.
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

/// Writes an error message to the text, and returns what it is about.
fn refused(error: Error) -> u32 {
    let mut text = TEXT.borrow_mut();
    match error {
        // There is only one row, and the page counts as its reader does.
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
