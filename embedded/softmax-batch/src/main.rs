//! A program for a Cortex-M4F with every option, every kind of targets and every output of a softmax loss, all
//! chosen at run time. `cargo xtask cost` links it and reports its flash; it is never run.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::panic::PanicInfo;

use xent_core::{
    Batch, Buffers, Error, Hessian, Level, MultiLabel, NotFiniteRows, Outputs, RowWeights, Shape,
    SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};

const ROWS: usize = 4;
const CLASSES: usize = 8;
const ELEMENTS: usize = ROWS * CLASSES;

/// The symbol where the linker starts.
// SAFETY: no other function has this name: no system library is linked.
#[unsafe(no_mangle)]
extern "C" fn _start() -> ! {
    loop {
        black_box(run()).ok();
    }
}

fn run() -> Result<f64, Error> {
    let mut logits = black_box([1.0; ELEMENTS]);
    let (mut gradient, mut hessian) = ([0.0; ELEMENTS], [0.0; ELEMENTS]);
    let (mut losses, mut log_sum_exp, mut predicted) = ([0.0; ROWS], [0.0; ROWS], [0; ROWS]);
    let (dense, weights) = (black_box([0.5; ELEMENTS]), black_box([1.0; CLASSES]));
    let (of_rows, labels) = (black_box([1.0; ROWS]), black_box([1_u8; ROWS]));

    let not_finite = NotFiniteRows::new();
    let buffers = match black_box(0) {
        0 => Buffers::loss(&logits),
        1 => Buffers::gradient(&logits, &mut gradient),
        2 => Buffers::accumulate(&logits, &mut gradient),
        _ => Buffers::in_place(&mut logits),
    };
    let targets = match black_box(0) {
        0 => SoftmaxTargets::Index((&labels[..]).into()),
        1 => SoftmaxTargets::Dense(&dense),
        2 => SoftmaxTargets::MultiLabel(&dense, MultiLabel::Exact),
        3 => SoftmaxTargets::MultiLabel(&dense, MultiLabel::Caffe),
        _ => SoftmaxTargets::Teacher(&dense, black_box(2.0)),
    };
    let options = SoftmaxOptions {
        class_weights: &weights[..black_box(CLASSES)],
        label_smoothing: black_box(0.1),
        ignore_index: black_box(Some(255)),
        focal_gamma: black_box(0.0),
        z_loss: black_box(1e-4),
        soft_cap: black_box(30.0),
        empty_is_nan: black_box(false),
    };
    let weights = RowWeights {
        scale: black_box(0.25),
        sample_weights: &of_rows[..black_box(ROWS)],
        upstream: &of_rows[..black_box(ROWS)],
    };
    let convention = match black_box(0) {
        0 => Hessian::Exact,
        1 => Hessian::XgBoost,
        _ => Hessian::LightGbm,
    };
    let outputs = Outputs {
        losses: &mut losses[..black_box(ROWS)],
        log_sum_exp: &mut log_sum_exp[..black_box(ROWS)],
        predicted: &mut predicted[..black_box(ROWS)],
        hessian: &mut hessian[..black_box(0)],
        convention,
        hessian_floor: black_box(Some(0.0)),
        not_finite: Some(&not_finite),
    };
    // The class axis is the last one, or not.
    let shape =
        if black_box(true) { Shape::rows(ROWS, CLASSES) } else { Shape::columns(1, CLASSES, ROWS) };
    let sum = SoftmaxBatch::with_options(buffers, shape?, targets, options)?
        .with_weights(weights)?
        .with_outputs(outputs)?
        .run(Level::detect());
    black_box((&logits, &gradient, &hessian, &losses, &log_sum_exp, &predicted));
    Ok(sum)
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
