//! A network for handwritten digits learns as well with these losses as with candle's.

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{AdamW, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, linear, seq};

const TRAINED: usize = 260;

/// Images and labels: those that are trained with, and the others.
fn digits() -> Result<[(Tensor, Tensor); 2]> {
    let part = |range: std::ops::Range<usize>| {
        let pixels = range
            .clone()
            .flat_map(|digit| digits_net::image(digit).map(|pixel| f32::from(pixel) / 16.0));
        let labels = range.clone().map(|digit| digits_net::label(digit) as u32);
        let images =
            Tensor::from_iter(pixels, &Device::Cpu)?.reshape((range.len(), digits_net::PIXELS))?;
        Ok::<_, candle_core::Error>((images, Tensor::from_iter(labels, &Device::Cpu)?))
    };
    Ok([part(0..TRAINED)?, part(TRAINED..digits_net::COUNT)?])
}

/// Right digits among those that it was not trained with, and the last loss.
fn train(loss: impl Fn(&Tensor, &Tensor) -> Result<Tensor>) -> Result<(u32, f32)> {
    let [(images, labels), (new_images, new_labels)] = digits()?;
    let weights = VarMap::new();
    let of = VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu);
    let network = seq()
        .add(linear(digits_net::PIXELS, 32, of.pp("hidden"))?)
        .add_fn(|x| x.relu())
        .add(linear(32, digits_net::CLASSES, of.pp("out"))?);
    // The same start for every loss.
    let mut named: Vec<_> = weights.data().lock().unwrap().clone().into_iter().collect();
    named.sort_by(|a, b| a.0.cmp(&b.0));
    let mut place = 0;
    for (_, var) in &named {
        let values: Vec<f32> =
            (0..var.elem_count()).map(|i| ((place + i) as f32 * 12.9898).sin() * 0.2).collect();
        place += var.elem_count();
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu)?)?;
    }
    let vars = named.into_iter().map(|(_, var)| var).collect();
    let mut optimizer = AdamW::new(vars, ParamsAdamW { lr: 0.01, ..ParamsAdamW::default() })?;
    let mut last = f32::NAN;
    for _ in 0..30 {
        for start in (0..TRAINED).step_by(65) {
            let logits = network.forward(&images.narrow(0, start, 65)?)?;
            let value = loss(&logits, &labels.narrow(0, start, 65)?)?;
            optimizer.backward_step(&value)?;
            last = value.to_scalar()?;
        }
    }
    let predicted = network.forward(&new_images)?.argmax(D::Minus1)?;
    let right = predicted.eq(&new_labels)?.to_dtype(DType::U32)?.sum_all()?.to_scalar()?;
    Ok((right, last))
}

#[test]
fn as_many_digits_are_right_as_with_candles_loss() -> Result<()> {
    let (theirs, their_loss) = train(candle_nn::loss::cross_entropy)?;
    let (ours, our_loss) = train(xent_candle::cross_entropy)?;
    // One digit may tip over by a rounding error.
    assert!(
        ours.abs_diff(theirs) <= 1 && ours >= 85,
        "{ours} digits of 100 are right, with candle's loss {theirs}"
    );
    assert!(
        (our_loss - their_loss).abs() < 0.02 * their_loss,
        "{our_loss}, with candle's loss {their_loss}"
    );
    Ok(())
}
