//! What is read of tensors, and checked before.

use std::ops::Range;

use candle_core::op::BackpropOp;
use candle_core::{
    CpuStorage, DType, DeviceLocation, Error, Layout, Result, Shape, Storage, Tensor,
};
use xent::{Float, Labels, Targets};

/// The elements of a contiguous tensor.
pub(crate) fn window(layout: &Layout) -> Result<Range<usize>> {
    let (start, end) =
        layout.contiguous_offsets().ok_or(Error::RequiresContiguous { op: "xent" }.bt())?;
    Ok(start..end)
}

/// Labels of any integer type.
pub(crate) fn labels<'a>(values: &'a CpuStorage, window: Range<usize>) -> Option<Labels<'a>> {
    Some(match values {
        CpuStorage::U8(labels) => labels[window].into(),
        CpuStorage::U32(labels) => labels[window].into(),
        CpuStorage::I16(labels) => labels[window].into(),
        CpuStorage::I32(labels) => labels[window].into(),
        CpuStorage::I64(labels) => labels[window].into(),
        _ => return None,
    })
}

/// Integers are labels; floats are what `of_floats` makes of them.
pub(crate) fn targets<'a, F: Float + candle_core::WithDType>(
    values: &'a CpuStorage,
    layout: &Layout,
    of_floats: fn(&'a [F]) -> Targets<'a, F>,
) -> Result<Targets<'a, F>> {
    let window = window(layout)?;
    match labels(values, window.clone()) {
        Some(labels) => Ok(Targets::Index(labels)),
        None => Ok(of_floats(&F::cpu_storage_as_slice(values)?[window])),
    }
}

/// Targets as they are read: without a gradient, contiguous, and floats in the format of the computation.
pub(crate) fn prepare_targets(targets: &Tensor, float: DType) -> Result<Tensor> {
    let targets = targets.detach();
    let targets = if targets.dtype().is_int() { targets } else { targets.to_dtype(float)? };
    targets.contiguous()
}

/// Labels have the shape of the logits without their last axis; floats, and integers for every logit, that of the
/// logits.
pub(crate) fn check_targets(logits: &Shape, targets: &Tensor, for_each_logit: bool) -> Result<()> {
    let dims = logits.dims();
    let Some((classes, of_rows)) = dims.split_last() else {
        let msg = "logits need an axis of classes, which is the last";
        return Err(Error::UnexpectedShape {
            msg: msg.into(),
            expected: (1, 1).into(),
            got: logits.clone(),
        }
        .bt());
    };
    let (found, is_int) = (targets.dims(), targets.dtype().is_int());
    let fits = match (is_int, for_each_logit) {
        (true, false) => found == of_rows,
        (true, true) => found == dims || *classes == 1 && found == of_rows,
        (false, _) => found == dims,
    };
    if fits {
        return Ok(());
    }
    let (msg, expected) = if is_int && !for_each_logit {
        ("labels have the shape of the logits without the last axis, the classes", of_rows)
    } else {
        ("these targets have the shape of the logits", dims)
    };
    Err(Error::UnexpectedShape {
        msg: msg.into(),
        expected: expected.to_vec().into(),
        got: targets.shape().clone(),
    }
    .bt())
}

/// Only the CPU computes here.
pub(crate) fn check_device(location: DeviceLocation) -> Result<()> {
    let device = match location {
        DeviceLocation::Cpu => return Ok(()),
        DeviceLocation::Cuda { gpu_id } => format!("CUDA device {gpu_id}"),
        DeviceLocation::Metal { gpu_id } => format!("Metal device {gpu_id}"),
    };
    Err(Error::msg(format!(
        "xent-candle computes on the CPU, and found a tensor on {device}: move it with \
         `to_device(&Device::Cpu)`, or use a loss of candle-nn there"
    )))
}

/// Logits of a format that the loss is not for.
pub(crate) fn wrong_format(found: DType, float: &'static str) -> Error {
    let (others, other) = if float == "f32" { ("f32, bf16 or f16", "f64") } else { ("f64", "f32") };
    Error::msg(format!(
        "a loss that computes in {float} takes logits of {others}, found {found:?}: build it as \
         `SoftmaxCrossEntropy::<{other}>::new()`, or convert the logits with `to_dtype`"
    ))
}

/// A tensor of what was computed, without a copy.
pub(crate) fn tensor(values: CpuStorage, shape: &Shape) -> Tensor {
    Tensor::from_storage(Storage::Cpu(values), shape.clone(), BackpropOp::none(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_devices_are_refused_by_name() {
        assert!(check_device(DeviceLocation::Cpu).is_ok());
        let error = check_device(DeviceLocation::Cuda { gpu_id: 1 }).unwrap_err().to_string();
        assert!(error.contains("CUDA device 1") && error.contains("to_device"), "{error}");
        let error = check_device(DeviceLocation::Metal { gpu_id: 0 }).unwrap_err().to_string();
        assert!(error.contains("Metal device 0"), "{error}");
    }
}
