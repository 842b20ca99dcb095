//! Prints the results of candle and burn for the batch of `tools/peers`, in the format of its Python scripts for
//! the other peers.

use std::path::Path;

use burn_nn::loss::{BinaryCrossEntropyLossConfig, CrossEntropyLossConfig};
use burn_tensor::{Device as BurnDevice, Int, Tensor as BurnTensor, TensorData, activation};
use candle_core::{Device, Tensor, Var};
use candle_nn::{loss, ops};
use serde_json::{Value, json};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The batch that `tools/peers/common.py` made.
struct Batch(Value);

impl Batch {
    fn numbers(&self, name: &str) -> Vec<f64> {
        fn flatten(value: &Value, into: &mut Vec<f64>) {
            match value {
                Value::Array(items) => items.iter().for_each(|item| flatten(item, into)),
                number => into.push(number.as_f64().expect("a number")),
            }
        }
        let mut numbers = Vec::new();
        flatten(&self.0[name], &mut numbers);
        numbers
    }

    fn rows(&self) -> usize {
        self.numbers("labels").len()
    }

    fn shape(&self) -> (usize, usize) {
        (self.rows(), self.numbers("logits").len() / self.rows())
    }

    /// Labels, some of them replaced.
    fn labels(&self, ignored: &str, label: u32) -> Vec<u32> {
        let some = self.numbers("ignored_rows");
        let is_ignored = |row: usize| match ignored {
            "all" => true,
            "some" => some.contains(&(row as f64)),
            _ => false,
        };
        let labels = self.numbers("labels").into_iter().enumerate();
        labels.map(|(row, y)| if is_ignored(row) { label } else { y as u32 }).collect()
    }
}

/// A number in the form of the JSON files.
fn number(value: f64) -> Value {
    if value.is_nan() { json!("nan") } else { json!(value) }
}

fn write(folder: &Path, peer: &str, version: &str, format: &str, cases: &[Value]) -> Result<()> {
    let lines: Vec<String> = cases.iter().map(Value::to_string).collect();
    let text = format!(
        "{{\"peer\": \"{peer}\", \"preset\": \"{peer}\", \"versions\": {{\"{peer}\": \"{version}\"}}, \
         \"format\": \"{format}\", \"cases\": [\n{}\n]}}\n",
        lines.join(",\n")
    );
    Ok(std::fs::write(folder.join(format!("{peer}.json")), text)?)
}

/// `candle_nn::loss`, in f64.
fn candle(batch: &Batch) -> Result<Vec<Value>> {
    let mut cases = Vec::new();
    let device = Device::Cpu;
    let labels = Tensor::new(batch.labels("none", 0), &device)?;
    let x = Var::from_slice(&batch.numbers("logits"), batch.shape(), &device)?;
    let mut push = |name: &str, of: &str, mean: Tensor, setting: Value| -> Result<()> {
        let mut case = json!({"name": name, "loss": of});
        let gradient = mean.backward()?.remove(&x).map(|g| g.flatten_all()?.to_vec1::<f64>());
        let fields = case.as_object_mut().expect("an object");
        fields.extend(setting.as_object().cloned().unwrap_or_default());
        fields.insert("value".into(), number(mean.to_scalar()?));
        if of != "nll" {
            fields.insert("grad".into(), json!(gradient.expect("of its variable")?));
        }
        fields.insert("expressible".into(), json!(true));
        cases.push(case);
        Ok(())
    };
    push("labels", "softmax", loss::cross_entropy(&x, &labels)?, json!({}))?;
    push("log-probabilities", "nll", loss::nll(&ops::log_softmax(&x, 1)?, &labels)?, json!({}))?;
    for targets in ["binary", "soft"] {
        let y = Tensor::from_vec(batch.numbers(targets), batch.shape(), &device)?;
        let mean = loss::binary_cross_entropy_with_logit(&x, &y)?;
        push(targets, "sigmoid", mean, json!({"targets": targets}))?;
    }
    Ok(cases)
}

/// `burn::nn::loss`, in f32.
fn burn(batch: &Batch) -> Result<Vec<Value>> {
    let device = BurnDevice::flex();
    let (rows, classes) = batch.shape();
    let numbers =
        |name: &str| -> Vec<f32> { batch.numbers(name).iter().map(|&x| x as f32).collect() };
    let matrix = |values: Vec<f32>| {
        BurnTensor::<2>::from_data(TensorData::new(values, [rows, classes]), &device)
    };
    let x = matrix(numbers("logits"));
    let scalar = |mean: BurnTensor<1>| -> f64 {
        f64::from(mean.into_data().try_to_vec::<f32>().expect("f32")[0])
    };
    let integers = |labels: Vec<u32>| -> BurnTensor<1, Int> {
        let labels: Vec<i64> = labels.into_iter().map(i64::from).collect();
        BurnTensor::from_data(TensorData::new(labels, [rows]), &device)
    };
    let smoothing = batch.numbers("smoothing")[0] as f32;

    let mut cases = Vec::new();
    for ignored in ["none", "some", "all"] {
        for class_weights in [false, true] {
            for smoothed in [false, true] {
                let loss = CrossEntropyLossConfig::new()
                    .with_pad_tokens((ignored != "none").then(|| vec![0]))
                    .with_weights(class_weights.then(|| numbers("class_weights")))
                    .with_smoothing(smoothed.then_some(smoothing))
                    .init(&device);
                let mean = scalar(loss.forward(x.clone(), integers(batch.labels(ignored, 0))));
                let smoothing = if smoothed { smoothing } else { 0.0 };
                let mut case = json!({
                    "name": format!(
                        "labels, ignored {ignored}, class weights {class_weights}, smoothing {smoothing}"
                    ),
                    "loss": "softmax",
                    "ignored": ignored,
                    "class_weights": class_weights,
                    "smoothing": smoothing,
                    "value": number(mean),
                    "expressible": true,
                });
                if ignored != "none" {
                    case["ignore_index"] = json!(0);
                }
                cases.push(case);
            }
        }
    }
    let probabilities = CrossEntropyLossConfig::new().with_logits(false).init(&device);
    let mean =
        probabilities.forward(activation::softmax(x.clone(), 1), integers(batch.labels("none", 0)));
    cases.push(json!({
        "name": "probabilities", "loss": "multinomial_logistic", "value": number(scalar(mean)), "expressible": true,
    }));

    // Targets of the sigmoid loss are integers.
    let y = matrix(numbers("binary")).int();
    for weighted in [false, true] {
        // Without class weights smoothing does not change the mean, because the logits sum to zero.
        for smoothed in if weighted { vec![false, true] } else { vec![false] } {
            let loss = BinaryCrossEntropyLossConfig::new()
                .with_logits(true)
                .with_weights(weighted.then(|| numbers("class_weights")))
                .with_smoothing(smoothed.then_some(smoothing))
                .init(&device);
            let mean = scalar(loss.forward(x.clone(), y.clone()));
            let mut case = json!({
                "name": format!("binary, class weights {weighted}, smoothing {smoothed}"),
                "loss": "sigmoid",
                "targets": "binary",
                "class_weights": weighted,
                "smoothing": if smoothed { smoothing } else { 0.0 },
                "value": number(mean),
                "expressible": !smoothed,
            });
            if smoothed {
                case["reason"] =
                    json!("its smoothed target is (1 - ε) y + ε / C, xent's (1 - ε) y + ε / 2");
            }
            cases.push(case);
        }
    }
    Ok(cases)
}

fn main() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../crates/xent-reference/peers");
    let batch = Batch(serde_json::from_str(&std::fs::read_to_string(folder.join("batch.json"))?)?);
    write(&folder, "candle", "0.11.1", "f64", &candle(&batch)?)?;
    write(&folder, "burn", "0.22.1", "f32", &burn(&batch)?)
}
