//! The peers: scripts that measure the same cases and print them as JSON lines.

use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use xent_core::Level;

use super::case::Case;

/// A script, and how to run it.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    script: &'static str,
    mode: &'static str,
}

pub(crate) const PEERS: [Peer; 3] = [
    Peer { name: "PyTorch", script: "pytorch.py", mode: "eager" },
    Peer { name: "torch.compile", script: "pytorch.py", mode: "compile" },
    Peer { name: "JAX", script: "jax_optax.py", mode: "jit" },
];

/// The fields of a script's output that are needed here.
#[derive(Debug, Deserialize)]
struct Line {
    ns_per_element: f64,
}

/// How the scripts are run.
#[derive(Debug)]
pub(crate) struct Python<'a> {
    pub(crate) program: &'a Path,
    pub(crate) threads: usize,
    pub(crate) level: Level,
    /// The time for each case.
    pub(crate) seconds: f64,
}

impl Python<'_> {
    /// Nanoseconds an element, or the reason why there are none.
    pub(crate) fn ask(&self, peer: &Peer, case: &Case) -> Result<f64, String> {
        let folder = crate::root().join("benches/peers");
        let threads = self.threads.to_string();
        let mut command = Command::new(self.program);
        command
            .arg(folder.join(peer.script))
            .args(["--mode", peer.mode, "--threads", &threads])
            .args(["--seconds", &self.seconds.to_string(), "--filter", &case.to_string()])
            .env("OMP_NUM_THREADS", &threads);
        if self.level.name() == "avx2" {
            command.env("ATEN_CPU_CAPABILITY", "avx2");
            command.env("XLA_FLAGS", "--xla_cpu_max_isa=AVX2");
        }
        let output = command.output().map_err(|e| format!("{}: {e}", self.program.display()))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(said.lines().last().unwrap_or("failed without a word").to_owned());
        }
        of_line(&String::from_utf8_lossy(&output.stdout))
    }
}

fn of_line(printed: &str) -> Result<f64, String> {
    let line = printed.lines().next().ok_or("printed nothing: it does not have that case")?;
    let line: Line = serde_json::from_str(line).map_err(|e| format!("{e} in {line:?}"))?;
    Ok(line.ns_per_element)
}

/// One case on both sides, in nanoseconds an element.
#[derive(Debug)]
pub(crate) struct Comparison {
    pub(crate) case: &'static str,
    pub(crate) size: String,
    pub(crate) copy: f64,
    pub(crate) xent: f64,
    /// In the order of [`PEERS`].
    pub(crate) peers: [Option<f64>; PEERS.len()],
}

impl Comparison {
    /// The time of the fastest peer divided by that of `xent`.
    fn lead(&self) -> Option<f64> {
        let best = self.peers.into_iter().flatten().min_by(f64::total_cmp)?;
        Some(best / self.xent)
    }
}

/// A Markdown table, and the smallest and the mean lead below it.
pub(crate) fn table(comparisons: &[Comparison]) -> String {
    let or_dash =
        |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    let names = PEERS.map(|peer| peer.name).join(" | ");
    let mut text = format!("| case | shape | copy | xent | {names} | best peer / xent |\n");
    text += &format!("|---|---|{}\n", "---:|".repeat(PEERS.len() + 3));
    for comparison in comparisons {
        let Comparison { case, size, copy, xent, peers } = comparison;
        let peers = peers.map(or_dash).join(" | ");
        let (size, lead) = (size.replace('x', " × "), or_dash(comparison.lead()));
        text += &format!("| `{case}` | {size} | {copy:.2} | {xent:.2} | {peers} | {lead} |\n");
    }
    let leads: Vec<f64> = comparisons.iter().filter_map(Comparison::lead).collect();
    if let Some(least) = leads.iter().copied().min_by(f64::total_cmp) {
        let mean = (leads.iter().map(|lead| lead.ln()).sum::<f64>() / leads.len() as f64).exp();
        text += &format!(
            "\nNanoseconds an element. The best peer takes {least:.1} times as long at least, "
        );
        text += &format!("{mean:.1} times in the geometric mean.\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Comparison, of_line, table};

    #[test]
    fn a_line_of_a_script() {
        let line = r#"{"peer": "JAX", "case": "softmax/loss", "ns_per_element": 1.5, "rows": 2}"#;
        assert_eq!(of_line(line), Ok(1.5));
        assert!(of_line("").is_err_and(|why| why.contains("does not have that case")));
        assert!(of_line("Traceback").is_err_and(|why| why.contains("Traceback")));
    }

    #[test]
    fn the_lead_is_that_over_the_best_peer_there_is() {
        let of = |xent, peers| Comparison {
            case: "softmax/loss_and_grad",
            size: "4x10".into(),
            copy: 0.1,
            xent,
            peers,
        };
        let text = table(&[
            of(0.5, [Some(4.0), None, Some(1.0)]),
            of(1.0, [Some(8.0), None, None]),
            of(1.0, [None; 3]),
        ]);
        assert!(text.contains("| 4 × 10 | 0.10 | 0.50 | 4.00 | – | 1.00 | 2.00 |"), "{text}");
        assert!(text.contains("| 0.10 | 1.00 | – | – | – | – |"), "{text}");
        assert!(text.contains("2.0 times as long at least, 4.0 times"), "{text}");
    }
}
