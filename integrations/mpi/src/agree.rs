//! Before anything is computed, ranks tell each other what they were called with.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;

use mpi::traits::{Communicator, CommunicatorCollectives, Root};
use xent_core::reduction::Policy;
use xent_core::{Float, Labels, SoftmaxOptions};

use crate::error::{Error, Kind, What};

/// What a rank was called with. Numbers that may differ between ranks are left at zero.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) call: u64,
    pub(crate) format: u64,
    pub(crate) rows: usize,
    pub(crate) classes: usize,
    pub(crate) options: u64,
    pub(crate) labels: u64,
    pub(crate) weights: u64,
    pub(crate) hidden: usize,
    pub(crate) inputs: u64,
    /// The classes of this rank.
    pub(crate) shard: Range<usize>,
    /// The rows that this rank would send together.
    pub(crate) chunk: usize,
}

/// What all ranks were called with.
#[derive(Clone, Debug)]
pub(crate) struct Agreement {
    /// The classes of each rank.
    pub(crate) shards: Vec<Range<usize>>,
    /// The rows that are sent together.
    pub(crate) chunk: usize,
}

const NUMBERS: usize = 14;

/// The same on every rank: that all were called alike with valid input, or the first error.
pub(crate) fn agree(
    comm: &dyn Communicator,
    call: Result<Call, Error>,
) -> Result<Agreement, Error> {
    let rank = rank_of(comm);
    let mut mine = [0; NUMBERS];
    let mut message = String::new();
    match call {
        Ok(call) => {
            let Call {
                call,
                format,
                rows,
                classes,
                options,
                labels,
                weights,
                hidden,
                inputs,
                shard,
                chunk,
            } = call;
            mine = [
                0,
                hash(&env!("CARGO_PKG_VERSION")),
                call,
                format,
                rows as u64,
                classes as u64,
                options,
                labels,
                weights,
                hidden as u64,
                inputs,
                shard.start as u64,
                shard.end as u64,
                chunk as u64,
            ];
        }
        Err(error) => {
            let kind = match &error {
                Error::Input { kind, .. } => *kind,
                _ => Kind::Option,
            };
            message = match error {
                Error::Input { message, .. } => message,
                other => other.to_string(),
            };
            let kind = Kind::ALL.iter().position(|of_all| *of_all == kind).unwrap_or_default();
            mine[0] = 1 + kind as u64;
            mine[1] = message.len() as u64;
        }
    }
    let mut all = vec![0_u64; NUMBERS * size_of_comm(comm)];
    comm.all_gather_into(&mine[..], &mut all[..]);
    let ranks: Vec<&[u64]> = all.chunks_exact(NUMBERS).collect();
    if let Some((at, [kind, length, ..])) = ranks.iter().enumerate().find(|(_, of)| of[0] != 0) {
        let mut bytes = vec![0; *length as usize];
        if rank == at {
            bytes.copy_from_slice(message.as_bytes());
        }
        comm.process_at_rank(at as i32).broadcast_into(&mut bytes[..]);
        let message = String::from_utf8_lossy(&bytes).into_owned();
        let kind = Kind::ALL.get(*kind as usize - 1).copied().unwrap_or(Kind::Option);
        return Err(Error::Input { rank: at, kind, message });
    }
    let of_numbers = [
        What::Version,
        What::Call,
        What::Format,
        What::Rows,
        What::Classes,
        What::Options,
        What::Labels,
        What::Weights,
        What::Hidden,
        What::Inputs,
    ];
    for (number, what) in (1..).zip(of_numbers) {
        if let Some(rank) = ranks.iter().position(|of| of[number] != ranks[0][number]) {
            return Err(Error::Disagree { what, rank });
        }
    }
    let shards: Vec<_> = ranks.iter().map(|of| of[11] as usize..of[12] as usize).collect();
    let classes = ranks[0][5] as usize;
    let ends = std::iter::once(0).chain(shards.iter().map(|shard| shard.end));
    if let Some(rank) = shards.iter().zip(ends).position(|(shard, end)| shard.start != end) {
        return Err(Error::Disagree { what: What::Classes, rank });
    }
    if shards.last().is_some_and(|last| last.end != classes) {
        return Err(Error::Disagree { what: What::Classes, rank: shards.len() - 1 });
    }
    let chunk = ranks.iter().map(|of| of[13] as usize).max().unwrap_or(1).max(1);
    Ok(Agreement { shards, chunk })
}

/// The value, if no rank has an error; otherwise the error of the first rank that has one, on every rank. For what comes
/// before a loss: reading the files of a rank, say.
///
/// ```no_run
/// let universe = mpi::initialize().unwrap();
/// let text = std::fs::read_to_string("labels.txt").map_err(|error| error.to_string());
/// let text = xent_mpi::all_or_none(&universe.world(), text)?;
/// # let _ = text;
/// # Ok::<(), xent_mpi::Error>(())
/// ```
///
/// # Errors
/// [`Error::Input`] of [`Kind::Other`].
pub fn all_or_none<T>(comm: &dyn Communicator, result: Result<T, String>) -> Result<T, Error> {
    let rank = rank_of(comm);
    let result = result.map_err(|message| Error::Input { rank, kind: Kind::Other, message });
    let call = result.as_ref().map(|_| Call { call: hash("all or none"), ..Call::default() });
    agree(comm, call.map_err(Clone::clone))?;
    result
}

/// Makes a panic of this process end the whole job.
///
/// Without it a rank that panics drops the `Universe`, which calls `MPI_Finalize`; that waits for the other ranks, and
/// these wait for messages of this one: the job hangs (Open MPI 4.1.4, crate `mpi` 0.8.2).
pub fn abort_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        mpi::topology::SimpleCommunicator::world().abort(101);
    }));
}

pub(crate) fn rank_of(comm: &dyn Communicator) -> usize {
    usize::try_from(comm.rank()).unwrap_or_default()
}

pub(crate) fn size_of_comm(comm: &dyn Communicator) -> usize {
    usize::try_from(comm.size()).unwrap_or(1).max(1)
}

pub(crate) fn hash(of: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

pub(crate) fn hash_floats<F: Float>(values: &[F]) -> u64 {
    let mut hasher = DefaultHasher::new();
    values.len().hash(&mut hasher);
    for &value in values {
        let value: f64 = value.into();
        hasher.write_u64(value.to_bits());
    }
    hasher.finish()
}

pub(crate) fn hash_labels(labels: &Labels<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (0..labels.len()).for_each(|row| labels.get(row).hash(&mut hasher));
    hasher.finish()
}

pub(crate) fn hash_options<F: Float>(options: &SoftmaxOptions<'_, F>, policy: Policy) -> u64 {
    let SoftmaxOptions {
        class_weights,
        label_smoothing,
        ignore_index,
        focal_gamma,
        z_loss,
        soft_cap,
        empty_is_nan,
    } = *options;
    let numbers = [label_smoothing, focal_gamma, z_loss, soft_cap].map(f64::to_bits);
    hash(&(hash_floats(class_weights), numbers, ignore_index, empty_is_nan, policy))
}
