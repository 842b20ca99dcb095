//! The level of instructions and the number of threads.

use xent::Level;

use crate::args::MachineArgs;
use crate::failure::Failure;

/// The level that was asked for.
pub(crate) fn level(name: &str) -> Result<Level, Failure> {
    if name == "auto" {
        return Ok(Level::detect());
    }
    Level::by_name(name).ok_or_else(|| {
        let names: Vec<_> = Level::available().map(Level::name).collect();
        let names = names.join(", ");
        Failure::argument(format!("level {name} is not available here: expected auto, {names}"))
    })
}

/// Sets the number of threads, and returns how many there are.
pub(crate) fn threads(machine: &MachineArgs) -> Result<usize, Failure> {
    if machine.threads == Some(0) {
        return Err(Failure::argument("--threads: expected at least one"));
    }
    // Zero means RAYON_NUM_THREADS, or all of the machine. If there is a pool already, it is used.
    let count = machine.threads.unwrap_or(0);
    let _ = rayon::ThreadPoolBuilder::new().num_threads(count).build_global();
    Ok(rayon::current_num_threads())
}
