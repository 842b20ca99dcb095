//! The cost of a call: instructions by the system timer, stack by painting it and looking which paint is gone.

use cortex_m::Peripherals;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;
use xent_core::Error;

use crate::line;

/// The pattern that stack is painted with.
const PAINT: u32 = 0xa5a5_a5a5;
/// Painted words: far less than the memory, far more than a call takes.
const PAINTED: usize = 16 * 1024;
/// Words between the painter's own stack and the paint, for the functions that paint and look.
const GAP: usize = 16;
/// Instructions of the emulated processor for each tick of its timer: with `-icount shift=0` an instruction takes a
/// nanosecond, and the timer runs at 25 MHz.
const INSTRUCTIONS_OF_TICK: u32 = 40;
/// Timed calls, since a tick is long.
const CALLS: u32 = 64;

/// A running timer.
pub(crate) struct Meter {
    timer: SYST,
}

impl Meter {
    /// # Panics
    /// If there is another one.
    pub(crate) fn new() -> Self {
        let mut timer = Peripherals::take().expect("nobody else takes them").SYST;
        timer.set_clock_source(SystClkSource::Core);
        timer.set_reload(0x00ff_ffff);
        timer.clear_current();
        timer.enable_counter();
        Self { timer }
    }

    /// Prints the cost of a call that processes this many rows.
    pub(crate) fn report(
        &mut self,
        name: &str,
        rows: usize,
        mut call: impl FnMut() -> Result<(), Error>,
    ) -> Result<(), Error> {
        let bytes = stack_of(&mut call)?;
        self.timer.clear_current();
        for _ in 0..CALLS {
            call()?;
        }
        let ticks = 0x00ff_ffff - SYST::get_current();
        let instructions = ticks * INSTRUCTIONS_OF_TICK / CALLS / rows as u32;
        line::print(format_args!("cost {name} stack {bytes} instructions {instructions}"));
        Ok(())
    }
}

/// The bytes of stack that a call takes (or the gap above the paint, if that is more).
#[inline(never)]
fn stack_of(call: &mut impl FnMut() -> Result<(), Error>) -> Result<usize, Error> {
    let top = cortex_m::register::msp::read() as *mut u32;
    for word in GAP..PAINTED {
        // SAFETY: the stack grows downwards from the end of RAM, which has a hundred times as much memory as is
        // painted; statics are at its other end. No one uses the memory below the stack pointer, which is `top`:
        // interrupts are off, and anything that this loop calls fits into the gap. A stack pointer is a multiple of
        // four.
        unsafe { top.sub(word).write_volatile(PAINT) };
    }
    call()?;
    // SAFETY: as above; the loop has written these words.
    let is_paint = |word: &usize| unsafe { top.sub(*word).read_volatile() } == PAINT;
    let deepest = (GAP..PAINTED).rev().find(|word| !is_paint(word)).unwrap_or(GAP);
    Ok(deepest * size_of::<u32>())
}
