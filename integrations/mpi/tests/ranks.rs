//! What holds for every number of ranks, under `mpirun` (`cargo xtask mpi`).
//!
//! Every rank makes the whole problem from a seed, computes it with the core alone, and compares the parts that it gets.
//! Rank 0 prints a digest of all results, which is the same for any number of ranks.
//!
//! With `XENT_MPI_KILL=RANK` that rank ends in the middle, as a process that has crashed does.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use mpi::Threading;
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};
use xent_core::reduction::{MeanOver, NothingValid, Policy, Reduction};
use xent_core::{
    Batch, Buffers, Element, Gradient, Level, NotFiniteRows, Outputs, RowWeights, Shape,
    SoftmaxBatch, SoftmaxOptions, SoftmaxTargets,
};
use xent_linear::{Layer, LinearCrossEntropy, LinearPass, Workspace};
use xent_mpi::{
    DataParallel, Error, Kind, LayerGradients, Messages, Pass, Report, ShardedLinear,
    ShardedSoftmax, What, even_shards,
};

const TILE: usize = 4096;

fn main() {
    let (universe, threading) =
        mpi::initialize_with_threading(Threading::Funneled).expect("MPI starts once");
    assert!(threading >= Threading::Funneled, "MPI gives {threading:?}");
    xent_mpi::abort_on_panic();
    // The threads of each rank, this one among them: the one that calls MPI.
    let threads =
        std::env::var("XENT_MPI_THREADS").map_or(2, |count| count.parse().expect("a number"));
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).use_current_thread();
    pool.build_global().expect("the first pool");
    let world = universe.world();
    let (rank, size) = (world.rank(), world.size());
    let mut ranks = Ranks { world, digest: DefaultHasher::new() };
    if let Ok(dies) = std::env::var("XENT_MPI_KILL") {
        ranks.ends_in_the_middle(dies.parse().expect("a rank"));
        return;
    }
    let checks: [(&str, Check); 9] = [
        ("a sharded batch has the bits of the whole one", Ranks::sharded),
        ("so has one with options, in each of four formats", Ranks::sharded_with_options),
        ("and rows that are not finite", Ranks::sharded_not_finite),
        ("a sharded layer has the bits of the whole one", Ranks::linear),
        ("rows cut over ranks have the bits of the whole batch", Ranks::data_parallel),
        ("a fault of one rank is the error of all, and nothing is written", Ranks::faults),
        ("ranks that differ are told so", Ranks::disagreements),
        ("a mean over nothing is what the policy says", Ranks::nothing_valid),
        ("messages have the length that is documented", Ranks::bytes),
    ];
    for (name, check) in checks {
        check(&mut ranks);
        if rank == 0 {
            println!("ok: {name}");
        }
    }
    let digest = ranks.digest.finish();
    let mut all = vec![0_u64; size as usize];
    ranks.world.all_gather_into(&digest, &mut all[..]);
    assert!(all.iter().all(|of_rank| *of_rank == digest), "ranks have other results: {all:x?}");
    if rank == 0 {
        println!("digest {digest:016x}");
    }
}

type Check = fn(&mut Ranks);

struct Ranks {
    world: SimpleCommunicator,
    digest: DefaultHasher,
}

fn rank_of(world: &dyn Communicator) -> usize {
    world.rank() as usize
}

fn numbers(count: usize, seed: u64) -> impl Iterator<Item = f32> {
    let mut state = seed | 1 << 40;
    (0..count).map(move |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// All NaNs count as the same.
fn bits<E: Into<f64> + Copy>(values: &[E]) -> Vec<u64> {
    let bits = |value: f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
    values.iter().map(|&value| bits(value.into())).collect()
}

/// The columns of some classes.
fn columns<E: Copy>(x: &[E], classes: usize, of: &Range<usize>) -> Vec<E> {
    x.chunks_exact(classes).flat_map(|row| row[of.clone()].to_vec()).collect()
}

/// A problem as one process has it.
struct Whole<'a, E: Element> {
    x: &'a [E],
    classes: usize,
    labels: &'a [i64],
    options: SoftmaxOptions<'a, E::Float>,
    sample_weights: &'a [E::Float],
    policy: Policy,
}

#[derive(Debug, PartialEq)]
struct Results {
    loss: Vec<u64>,
    losses: Vec<u64>,
    log_sum_exp: Vec<u64>,
    predicted: Vec<u32>,
    gradient: Vec<u64>,
    not_finite: (usize, Option<usize>),
}

impl<E: Element<Float: Into<f64>> + Into<f64>> Whole<'_, E> {
    fn rows(&self) -> usize {
        self.labels.len()
    }

    fn results(&self) -> Results {
        let zero = E::Float::default();
        let mut gradient = vec![E::default(); self.x.len()];
        let (mut losses, mut lse) = (vec![zero; self.rows()], vec![zero; self.rows()]);
        let (mut predicted, not_finite) = (vec![0; self.rows()], NotFiniteRows::new());
        let shape = Shape::rows(self.rows(), self.classes).unwrap();
        let buffers = Buffers::gradient(self.x, &mut gradient);
        let targets = SoftmaxTargets::Index(self.labels.into());
        let batch = SoftmaxBatch::with_options(buffers, shape, targets, self.options).unwrap();
        let sample_weights = self.sample_weights;
        let batch =
            batch.with_weights(RowWeights { sample_weights, ..RowWeights::default() }).unwrap();
        let division = self.policy.division(&batch.counts()).unwrap();
        let outputs = Outputs {
            losses: &mut losses,
            log_sum_exp: &mut lse,
            predicted: &mut predicted,
            not_finite: Some(&not_finite),
            ..Outputs::default()
        };
        let batch = batch.with_scale(division.scale(0.5)).with_outputs(outputs).unwrap();
        let sum = batch.run(Level::detect());
        Results {
            loss: bits(&[sum, division.loss(sum).unwrap_or(sum)]),
            losses: bits(&losses),
            log_sum_exp: bits(&lse),
            predicted,
            gradient: bits(&gradient),
            not_finite: (not_finite.count(), not_finite.first()),
        }
    }
}

impl Ranks {
    fn size(&self) -> usize {
        self.world.size() as usize
    }

    /// Adds results to the digest.
    fn note(&mut self, results: &Results) {
        let Results { loss, losses, log_sum_exp, predicted, gradient, not_finite } = results;
        (loss, losses, log_sum_exp, predicted, gradient, not_finite).hash(&mut self.digest);
    }

    /// Compares what this rank gets of a whole problem.
    fn compare<E: Element<Float: Into<f64>> + Into<f64>>(
        &mut self,
        whole: &Whole<'_, E>,
        messages: Messages,
        cuts: &[usize],
    ) {
        let expected = whole.results();
        let mut loss = ShardedSoftmax::new(&self.world, whole.classes, whole.options)
            .with_policy(whole.policy)
            .with_messages(messages);
        if !cuts.is_empty() {
            // Cuts for any number of ranks: of the tiles, at these and then no more.
            let class = |rank: usize| {
                let tile = if rank == 0 { Some(0) } else { cuts.get(rank - 1).copied() };
                tile.map_or(whole.classes, |tile| (tile * TILE).min(whole.classes))
            };
            let rank = rank_of(&self.world);
            let end = if rank + 1 == self.size() { whole.classes } else { class(rank + 1) };
            loss = loss.with_shard(class(rank).min(end)..end);
        }
        let x = columns(whole.x, whole.classes, &loss.shard());
        let zero = E::Float::default();
        for in_place in [false, true] {
            let mut gradient = x.clone();
            let (mut losses, mut lse) = (vec![zero; whole.rows()], vec![zero; whole.rows()]);
            let mut predicted = vec![0; whole.rows()];
            let pass = Pass {
                losses: &mut losses,
                log_sum_exp: &mut lse,
                predicted: &mut predicted,
                sample_weights: whole.sample_weights,
                scale: 0.5,
            };
            let buffers = if in_place {
                Buffers::in_place(&mut gradient)
            } else {
                Buffers::new(&x, Gradient::Write(&mut gradient))
            };
            let Report { loss: value, sum, not_finite, .. } =
                loss.evaluate(buffers, whole.labels, pass).unwrap();
            let found = Results {
                loss: bits(&[sum, value]),
                losses: bits(&losses),
                log_sum_exp: bits(&lse),
                predicted,
                gradient: bits(&gradient),
                not_finite,
            };
            let of_shard = columns(&expected.gradient, whole.classes, &loss.shard());
            assert_eq!(found.gradient, of_shard, "the gradient of the shard {:?}", loss.shard());
            let expected = &expected;
            let found = Results { gradient: expected.gradient.clone(), ..found };
            assert!(found == *expected, "{found:?} instead of {expected:?}");
        }
        self.note(&expected);
    }

    fn sharded(&mut self) {
        let (rows, classes) = (37, 9 * TILE + 5);
        let x: Vec<f32> = numbers(rows * classes, 1).map(|x| 9.0 * x).collect();
        let labels: Vec<i64> = (0..rows).map(|row| (row * 4099 % classes) as i64).collect();
        let whole = Whole {
            x: &x,
            classes,
            labels: &labels,
            options: SoftmaxOptions::default(),
            sample_weights: &[],
            policy: Policy::default(),
        };
        for messages in [Messages::Auto, Messages::Gather, Messages::Scatter] {
            self.compare(&whole, messages, &[]);
        }
        // One rank with nearly all, some with none.
        self.compare(&whole, Messages::Gather, &[9, 9]);
        self.compare(&whole, Messages::Scatter, &[0, 1]);
    }

    fn sharded_with_options(&mut self) {
        let (rows, classes) = (9, 5 * TILE + 77);
        let x: Vec<f32> = numbers(rows * classes, 2).map(|x| 7.0 * x).collect();
        let labels: Vec<i64> = (0..rows)
            .map(|row| if row == 4 { -100 } else { (row * 4099 % classes) as i64 })
            .collect();
        let weights: Vec<f32> = (0..classes).map(|class| (class % 5) as f32 / 2.0).collect();
        let sample_weights: Vec<f32> = (0..rows).map(|row| (row % 3) as f32).collect();
        let plain = SoftmaxOptions { ignore_index: Some(-100), ..SoftmaxOptions::default() };
        let class_weights = &weights[..];
        let options = [
            SoftmaxOptions { class_weights, label_smoothing: 0.1, z_loss: 1e-4, ..plain },
            SoftmaxOptions { class_weights, focal_gamma: 2.0, ..plain },
            SoftmaxOptions { soft_cap: 3.0, ..plain },
            SoftmaxOptions { soft_cap: 3.0, label_smoothing: 0.2, class_weights, ..plain },
        ];
        let means = [MeanOver::PyTorch, MeanOver::Weights, MeanOver::AllRows, MeanOver::NotIgnored];
        for (options, mean_over) in options.into_iter().zip(means) {
            let policy = Policy { mean_over, ..Policy::default() };
            let sample_weights = &sample_weights[..];
            let labels = &labels[..];
            let whole = Whole { x: &x, classes, labels, options, sample_weights, policy };
            self.compare(&whole, Messages::Auto, &[]);
            self.compare(&whole, Messages::Scatter, &[]);
            let x: Vec<half::bf16> = x.iter().map(|&x| half::bf16::from_f32(x)).collect();
            let whole = Whole { x: &x, classes, labels, options, sample_weights, policy };
            self.compare(&whole, Messages::Auto, &[]);
            let x: Vec<half::f16> = x.iter().map(|&x| half::f16::from_f32(x.into())).collect();
            let whole = Whole { x: &x, classes, labels, options, sample_weights, policy };
            self.compare(&whole, Messages::Auto, &[]);
        }
        let x: Vec<f64> = x.iter().map(|&x| x.into()).collect();
        let options = SoftmaxOptions {
            label_smoothing: 0.1,
            ignore_index: Some(-100),
            ..SoftmaxOptions::<f64>::default()
        };
        let policy = Policy { reduction: Reduction::Sum, ..Policy::default() };
        let whole = Whole { x: &x, classes, labels: &labels, options, sample_weights: &[], policy };
        self.compare(&whole, Messages::Auto, &[]);
    }

    fn sharded_not_finite(&mut self) {
        let (rows, classes) = (7, 3 * TILE);
        let mut x: Vec<f32> = numbers(rows * classes, 3).collect();
        let at = |row: usize, class: usize| row * classes + class;
        x[at(0, 5000)] = f32::NAN;
        x[at(1, 17)] = f32::INFINITY;
        x[at(2, 17)] = f32::INFINITY;
        x[at(2, 9000)] = f32::INFINITY;
        x[at(3, 0)..at(4, 0)].fill(f32::NEG_INFINITY);
        x[at(4, TILE)..at(4, 2 * TILE)].fill(f32::NEG_INFINITY);
        x[at(5, TILE)..at(6, 0)].fill(f32::NAN);
        let labels = [1_i64, 17, 18, 19, 20, 21, 12_000];
        let whole = Whole {
            x: &x,
            classes,
            labels: &labels,
            options: SoftmaxOptions::default(),
            sample_weights: &[],
            policy: Policy::default(),
        };
        self.compare(&whole, Messages::Gather, &[]);
        self.compare(&whole, Messages::Scatter, &[]);
    }

    fn linear(&mut self) {
        let (rows, hidden, classes) = (600, 24, 8 * TILE + 300);
        let x: Vec<f32> = numbers(rows * hidden, 4).collect();
        let w: Vec<f32> = numbers(classes * hidden, 5).collect();
        let b: Vec<f32> = numbers(classes, 6).collect();
        let labels: Vec<i64> = (0..rows)
            .map(|row| if row % 10 == 3 { -1 } else { (row * 4099 % classes) as i64 })
            .collect();
        let options = SoftmaxOptions {
            ignore_index: Some(-1),
            label_smoothing: 0.1,
            ..SoftmaxOptions::default()
        };
        let (mut dx, mut dw, mut db) = (vec![0.0; x.len()], vec![0.0; w.len()], vec![0.0; classes]);
        let (mut losses, mut lse, mut predicted) =
            (vec![0.0; rows], vec![0.0; rows], vec![0; rows]);
        let pass = LinearPass::new()
            .grad_inputs(&mut dx)
            .grad_weights(&mut dw)
            .grad_bias(&mut db)
            .losses(&mut losses)
            .log_sum_exp(&mut lse)
            .predicted(&mut predicted);
        let layer = Layer::new(&x, &w, hidden).unwrap().with_bias(&b).unwrap();
        let whole = LinearCrossEntropy::new(options).unwrap();
        let expected = whole.evaluate(layer, &labels[..], pass, &mut Workspace::new()).unwrap();

        let shards = even_shards(classes, self.size());
        if shards.iter().any(|shard| shard.is_empty()) {
            return;
        }
        for messages in [Messages::Gather, Messages::Scatter] {
            let loss = ShardedLinear::new(&self.world, classes, options).with_messages(messages);
            let of = loss.shard();
            let (w, b) = (&w[of.start * hidden..of.end * hidden], &b[of.clone()]);
            let mut mine = (vec![7.0; x.len()], vec![7.0; w.len()], vec![7.0; b.len()]);
            let mut of_rows = (vec![0.0; rows], vec![0.0; rows], vec![0; rows]);
            let gradients =
                LayerGradients { inputs: &mut mine.0, weights: &mut mine.1, bias: &mut mine.2 };
            let pass = Pass {
                losses: &mut of_rows.0,
                log_sum_exp: &mut of_rows.1,
                predicted: &mut of_rows.2,
                ..Pass::default()
            };
            let layer = Layer::new(&x, w, hidden).unwrap().with_bias(b).unwrap();
            let report = loss.evaluate(layer, &labels[..], gradients, pass).unwrap();
            assert_eq!(report.loss.to_bits(), expected.loss.to_bits());
            assert!(bits(&mine.0) == bits(&dx), "the gradient of the inputs");
            let of_weights = &dw[of.start * hidden..of.end * hidden];
            assert!(bits(&mine.1) == bits(of_weights), "the gradient of the weights");
            assert!(bits(&mine.2) == bits(&db[of]), "the gradient of the bias");
            assert_eq!(bits(&of_rows.0), bits(&losses));
            assert_eq!(bits(&of_rows.1), bits(&lse));
            assert_eq!(of_rows.2, predicted);
            (report.loss.to_bits(), bits(&dx), bits(&dw), bits(&db)).hash(&mut self.digest);
        }
        // The gradient by the inputs alone, and the loss alone.
        let loss = ShardedLinear::new(&self.world, classes, options);
        let w = &w[loss.shard().start * hidden..loss.shard().end * hidden];
        let b = &b[loss.shard()];
        let layer = Layer::new(&x, w, hidden).unwrap().with_bias(b).unwrap();
        let mut alone = vec![0.0; x.len()];
        let gradients = LayerGradients { inputs: &mut alone, ..LayerGradients::default() };
        loss.evaluate(layer, &labels[..], gradients, Pass::default()).unwrap();
        assert!(alone == dx);
        let none = LayerGradients::default();
        let report = loss.evaluate(layer, &labels[..], none, Pass::default()).unwrap();
        assert_eq!(report.loss.to_bits(), expected.loss.to_bits());
    }

    /// Rows of each rank: some more, some none.
    fn rows_of(&self, rows: usize) -> Range<usize> {
        let (rank, ranks) = (rank_of(&self.world), self.size());
        let end =
            |rank: usize| if rank + 1 >= ranks { rows } else { rows * rank.pow(2) / ranks.pow(2) };
        if rank == 0 { 0..end(0) } else { end(rank - 1)..end(rank) }
    }

    fn data_parallel(&mut self) {
        for (rows, classes) in [(2000, 10), (300, 700), (7, 5000)] {
            let mut x: Vec<f32> = numbers(rows * classes, 8).map(|x| 5.0 * x).collect();
            x[(rows - 1) * classes + 1] = f32::NAN;
            let labels: Vec<i64> = (0..rows)
                .map(|row| if row % 7 == 3 { -1 } else { (row * 31 % classes) as i64 })
                .collect();
            let weights: Vec<f32> = (0..classes).map(|class| 0.1 + (class % 3) as f32).collect();
            let sample_weights: Vec<f32> = (0..rows).map(|row| 0.3 + (row % 4) as f32).collect();
            let options = SoftmaxOptions {
                ignore_index: Some(-1),
                class_weights: &weights,
                ..SoftmaxOptions::default()
            };
            for (mean_over, sample_weights) in
                [(MeanOver::PyTorch, &[][..]), (MeanOver::Weights, &sample_weights[..])]
            {
                let policy = Policy { mean_over, ..Policy::default() };
                let labels = &labels[..];
                let whole = Whole { x: &x, classes, labels, options, sample_weights, policy };
                let expected = whole.results();
                let of = self.rows_of(rows);
                let mine = &x[of.start * classes..of.end * classes];
                let mut gradient = vec![0.0; mine.len()];
                let mut losses = vec![0.0; of.len()];
                let pass = Pass {
                    losses: &mut losses,
                    sample_weights: if sample_weights.is_empty() {
                        &[]
                    } else {
                        &sample_weights[of.clone()]
                    },
                    scale: 0.5,
                    ..Pass::default()
                };
                let loss = DataParallel::new(&self.world, classes, options).with_policy(policy);
                let buffers = Buffers::gradient(mine, &mut gradient);
                let report = loss.evaluate(buffers, &labels[of.clone()], pass);
                let report = report.unwrap();
                assert_eq!(bits(&[report.sum, report.loss]), expected.loss);
                assert_eq!(bits(&losses), expected.losses[of.clone()]);
                let of_rows = of.start * classes..of.end * classes;
                assert!(bits(&gradient) == expected.gradient[of_rows], "the gradient");
                assert_eq!(report.not_finite, expected.not_finite);
                self.note(&expected);
            }
        }
    }

    fn faults(&mut self) {
        let classes = 16 * TILE;
        let last = self.size() - 1;
        let here = rank_of(&self.world) == last;
        let options = SoftmaxOptions::<f32>::default();
        let loss = ShardedSoftmax::new(&self.world, classes, options);
        let x = vec![0.0_f32; 2 * loss.shard().len()];
        let mut gradient = vec![7.0; x.len()];
        let good = [1_i64, 2];
        let bad = if here { [1, 65_536] } else { good };
        let error = loss.loss_and_gradient(&x, &bad, &mut gradient).unwrap_err();
        let message = "label out of range: row 1 has 65536, expected 0..65536".to_owned();
        assert_eq!(error, Error::Input { rank: last, kind: Kind::Label, message });
        let short = if here { &x[..x.len() / 2] } else { &x };
        let error = loss.loss(short, &good).unwrap_err();
        assert!(matches!(error, Error::Input { kind: Kind::Shape, .. }), "{error}");
        let odd = SoftmaxOptions { label_smoothing: if here { 2.0 } else { 0.0 }, ..options };
        let smoothed = ShardedSoftmax::new(&self.world, classes, odd);
        let error = smoothed.loss_and_gradient(&x, &good, &mut gradient).unwrap_err();
        let message = "label smoothing: expected a number from 0 to 1".to_owned();
        assert_eq!(error, Error::Input { rank: last, kind: Kind::Option, message });
        let weights = if here { [1.0, f32::NAN] } else { [1.0; 2] };
        let pass = Pass { sample_weights: &weights, ..Pass::default() };
        let buffers = Buffers::gradient(&x, &mut gradient);
        let error = loss.evaluate(buffers, &good, pass).unwrap_err();
        assert!(matches!(error, Error::Input { kind: Kind::Value, .. }), "{error}");
        let error =
            ShardedSoftmax::new(&self.world, 4096, options).loss(&[0.0_f32; 0], &good).unwrap_err();
        assert!(error.to_string().contains("give each process some of the rows"), "{error}");
        assert_eq!(gradient, vec![7.0; x.len()], "written");

        let rows = DataParallel::new(&self.world, 3, options);
        let (x, mut gradient) = ([0.0_f32; 6], [7.0; 6]);
        let bad = if here { [0_i64, 3] } else { [0, 2] };
        let error = rows.loss_and_gradient(&x, &bad, &mut gradient).unwrap_err();
        let row = 2 * last + 1;
        let message = format!("label out of range: row {row} has 3, expected 0..3");
        assert_eq!(error, Error::Input { rank: last, kind: Kind::Label, message });
        assert_eq!(gradient, [7.0; 6], "written");

        let layer_loss = ShardedLinear::new(&self.world, classes, options);
        if even_shards(classes, self.size()).iter().all(|shard| !shard.is_empty()) {
            let (x, w) = ([0.5_f32; 4], vec![0.0; layer_loss.shard().len() * 2]);
            let layer = Layer::new(&x, &w, 2).unwrap();
            let labels = if here { [1_i64, -1] } else { [1, 1] };
            let mut dx = [7.0; 4];
            let gradients = LayerGradients { inputs: &mut dx, ..LayerGradients::default() };
            let error =
                layer_loss.evaluate(layer, &labels, gradients, Pass::default()).unwrap_err();
            assert!(matches!(error, Error::Input { kind: Kind::Label, .. }), "{error}");
            assert_eq!(dx, [7.0; 4], "written");
        }
    }

    fn disagreements(&mut self) {
        if self.size() == 1 {
            return;
        }
        let classes = 16 * TILE;
        let last = self.size() - 1;
        let here = rank_of(&self.world) == last;
        let options = SoftmaxOptions::<f32>::default();
        let loss = ShardedSoftmax::new(&self.world, classes, options);
        let x = vec![0.0_f32; 2 * loss.shard().len()];
        let differs = |error: Error, what: What| {
            assert_eq!(error, Error::Disagree { what, rank: last });
        };
        let labels = if here { [1_i64, 2] } else { [1, 3] };
        differs(loss.loss(&x, &labels).unwrap_err(), What::Labels);
        let labels = [1_i64, 2];
        let smoothing = if here { 0.1 } else { 0.2 };
        let other = SoftmaxOptions { label_smoothing: smoothing, ..options };
        let smoothed = ShardedSoftmax::new(&self.world, classes, other);
        differs(smoothed.loss(&x, &labels).unwrap_err(), What::Options);
        let mut gradient = vec![7.0; x.len()];
        let buffers = if here { Buffers::loss(&x) } else { Buffers::gradient(&x, &mut gradient) };
        differs(loss.evaluate(buffers, &labels, Pass::default()).unwrap_err(), What::Call);
        let pass = Pass { scale: if here { 2.0 } else { 1.0 }, ..Pass::default() };
        differs(loss.evaluate(Buffers::loss(&x), &labels, pass).unwrap_err(), What::Weights);
        let rows = DataParallel::new(&self.world, 3, options);
        let error = if here {
            loss.loss(&x, &labels).unwrap_err()
        } else {
            rows.loss(&[0.0; 6], &labels).unwrap_err()
        };
        differs(error, What::Call);
        let formats = if here {
            let x: Vec<half::f16> = vec![half::f16::ONE; x.len()];
            loss.loss(&x, &labels)
        } else {
            loss.loss(&x, &labels)
        };
        differs(formats.unwrap_err(), What::Format);
        // Shards with a gap.
        let start = if here { 16 * TILE } else { loss.shard().start };
        let gap = loss.with_shard(start..loss.shard().end.max(start));
        let x = vec![0.0_f32; 2 * gap.shard().len()];
        let error = gap.loss(&x, &labels).unwrap_err();
        differs(error, What::Classes);
        assert_eq!(gradient, vec![7.0; gradient.len()], "written");
    }

    fn nothing_valid(&mut self) {
        let classes = 2 * TILE;
        let options = SoftmaxOptions { ignore_index: Some(-1), ..SoftmaxOptions::<f32>::default() };
        let loss = ShardedSoftmax::new(&self.world, classes, options);
        let x = vec![0.0_f32; 2 * loss.shard().len()];
        let labels = [-1_i64; 2];
        let policy = |nothing_valid| Policy { nothing_valid, ..Policy::default() };
        assert_eq!(loss.loss(&x, &labels), Ok(0.0));
        let nan = loss.with_policy(policy(NothingValid::Nan)).loss(&x, &labels).unwrap();
        assert!(nan.is_nan());
        let error = loss.with_policy(policy(NothingValid::Error)).loss(&x, &labels);
        assert_eq!(error, Err(Error::NothingValid));
        // No rows at all.
        assert_eq!(loss.loss(&[0.0_f32; 0], &[0_i64; 0]), Ok(0.0));
    }

    fn bytes(&mut self) {
        let (rows, ranks) = (64, self.size());
        if !ranks.is_power_of_two() {
            return;
        }
        let classes = 16 * TILE;
        let loss = ShardedSoftmax::new(&self.world, classes, SoftmaxOptions::<f32>::default())
            .with_messages(Messages::Gather);
        let x = vec![0.0_f32; rows * loss.shard().len()];
        let labels = vec![3_i64; rows];
        let report = loss.evaluate(Buffers::loss(&x), &labels[..], Pass::default()).unwrap();
        let most = (ranks - 1) * (rows * 21 + 24 * rows);
        assert!(report.bytes_sent as usize <= most, "{} of {most}", report.bytes_sent);
        assert!(report.bytes_sent as usize >= (ranks - 1) * rows * 21);
    }

    /// One rank ends without a word while the others wait for its sums.
    fn ends_in_the_middle(&mut self, dies: usize) {
        let classes = 4 * TILE;
        let loss = ShardedSoftmax::new(&self.world, classes, SoftmaxOptions::<f32>::default());
        let x = vec![0.0_f32; 64 * loss.shard().len()];
        let labels = vec![3_i64; 64];
        for call in 0..1000 {
            if call == 10 && rank_of(&self.world) == dies {
                std::process::abort();
            }
            loss.loss(&x, &labels[..]).unwrap();
        }
        println!("rank {} has waited for nobody", rank_of(&self.world));
    }
}
