//! The Python module `xent._xent`, on which the package `xent` is built.
//!
//! A call ([`call`]) takes arrays ([`array`]; of tensors [`dlpack`]: the only unsafe code), finds where their rows are ([`layout`]), builds
//! the loss of its options ([`options`]) and runs it without the interpreter ([`threads`]).

mod array;
mod call;
mod dlpack;
mod dtype;
mod errors;
mod functions;
mod layout;
mod linear;
mod options;
mod threads;

/// The compiled part of the package `xent`.
#[pyo3::pymodule(gil_used = false)]
mod _xent {
    #[pymodule_export]
    use super::functions::{
        evaluate, levels, log_softmax, log_sum_exp, softmax, value, value_and_grad,
    };
    #[pymodule_export]
    use super::linear::linear_cross_entropy;
    #[pymodule_export]
    use super::options::PreparedLoss;
    #[pymodule_export]
    use super::threads::{after_fork, get_num_threads, set_num_threads};

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
