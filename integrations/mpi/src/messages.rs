//! What is sent between ranks, beyond what MPI's collectives do by themselves.

use mpi::Count;
use mpi::datatype::PartitionMut;
use mpi::traits::{Communicator, CommunicatorCollectives, Equivalence};

use crate::agree::size_of_comm;
use crate::error::{Error, Kind};

/// Where the messages of each rank start, if they have these lengths; an error if they are too long for MPI's counts.
pub(crate) struct Places {
    pub(crate) counts: Vec<Count>,
    pub(crate) starts: Vec<Count>,
    pub(crate) length: usize,
}

impl Places {
    pub(crate) fn of(lengths: impl Iterator<Item = usize>) -> Result<Self, Error> {
        let (mut counts, mut starts, mut length) = (vec![], vec![], 0_usize);
        let too_long = |found: usize| {
            Error::Message(format!(
                "{found} numbers are more than one MPI message can have (2^31): use more ranks, or fewer rows at a time"
            ))
        };
        for of_rank in lengths {
            starts.push(Count::try_from(length).map_err(|_| too_long(length))?);
            counts.push(Count::try_from(of_rank).map_err(|_| too_long(of_rank))?);
            length += of_rank;
        }
        Count::try_from(length).map_err(|_| too_long(length))?;
        Ok(Self { counts, starts, length })
    }

    /// The messages, in the order of the ranks.
    pub(crate) fn split<'m, T>(
        &self,
        messages: &'m [T],
    ) -> impl Iterator<Item = &'m [T]> + Clone + use<'m, '_, T> {
        let places = self.starts.iter().zip(&self.counts);
        places.map(move |(&start, &count)| {
            let start = start as usize;
            &messages[start..start + count as usize]
        })
    }
}

/// The values of all ranks, in the order of the ranks, and how many each has.
pub(crate) fn gather<T: Equivalence + Clone>(
    comm: &dyn Communicator,
    mine: &[T],
    zero: T,
) -> Result<(Vec<T>, Vec<usize>), Error> {
    let mut lengths = vec![0_u64; size_of_comm(comm)];
    comm.all_gather_into(&(mine.len() as u64), &mut lengths[..]);
    let lengths: Vec<usize> = lengths.into_iter().map(|length| length as usize).collect();
    let places = Places::of(lengths.iter().copied())?;
    let mut all = vec![zero; places.length];
    let mut into = PartitionMut::new(&mut all[..], places.counts, places.starts);
    comm.all_gather_varcount_into(mine, &mut into);
    Ok((all, lengths))
}

/// A slice that cannot be sent.
pub(crate) fn refused(rank: usize, reason: &str) -> Error {
    Error::Input { rank, kind: Kind::Shape, message: reason.to_owned() }
}
