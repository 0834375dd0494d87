//! The list of processes that NVML writes, and its entries in all their versions.

use super::answer::{Fault, contradiction};

/// Stands where the driver wrote nothing.
const UNTOUCHED: u64 = 0xa5a5_a5a5_a5a5_a5a5;

/// What a process does on a GPU. NVML keeps a list for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    Compute,
    Graphics,
    Mps,
}

impl Activity {
    pub(super) const ALL: [Activity; 3] = [Activity::Compute, Activity::Graphics, Activity::Mps];

    /// The call that lists it.
    pub(super) const fn call(self) -> &'static str {
        match self {
            Activity::Compute => "nvmlDeviceGetComputeRunningProcesses_v3",
            Activity::Graphics => "nvmlDeviceGetGraphicsRunningProcesses_v3",
            Activity::Mps => "nvmlDeviceGetMPSComputeRunningProcesses_v3",
        }
    }
}

/// A process on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// Id of the GPU instance it is on, where it is on one and NVML says so.
    pub(super) gi: Option<u32>,
}

/// The buffer of a list of processes. An entry takes three words: process id, memory, and the ids of the instances;
/// in the first version of the call it has no ids. Drivers 535.43 to 535.86 write four, though version 3 of the call
/// has three (gpustat, issue 161), and take the buffer for as long as the announced count of those: so that is the
/// room there is, and whether it was used tells which they are.
pub(super) struct ProcessWords(Vec<u64>);

impl ProcessWords {
    pub(super) fn new(room: usize) -> Self {
        ProcessWords(vec![UNTOUCHED; room * 4])
    }

    /// How many entries there is room for.
    pub(super) fn room(&self) -> u32 {
        u32::try_from(self.0.len() / 4).unwrap_or(u32::MAX)
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u64 {
        self.0.as_mut_ptr()
    }

    /// The first `count` entries, which have `ids` or not.
    pub(super) fn read(&self, count: usize, ids: bool) -> Result<Vec<Process>, Fault> {
        if count > self.room() as usize {
            return Err(contradiction(format!("{count} processes where {} fit", self.room())));
        }
        let wide = self.0[count * 3..count * 4].iter().any(|word| *word != UNTOUCHED);
        let size = match (ids, wide) {
            (false, _) => 2,
            (true, false) => 3,
            (true, true) => 4,
        };
        // 0xFFFFFFFF is a process on no instance (nvml.h, nvmlProcessInfo_t).
        let gi = |entry: &[u64]| entry.get(2).map(|ids| *ids as u32).filter(|gi| *gi != u32::MAX);
        let process = |entry: &[u64]| Process { pid: entry[0] as u32, gi: gi(entry) };
        Ok(self.0.chunks_exact(size).take(count).map(process).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(entries: &[&[u64]]) -> ProcessWords {
        let mut words = ProcessWords::new(4);
        for (at, word) in entries.concat().into_iter().enumerate() {
            words.0[at] = word;
        }
        words
    }

    /// Process 10 on no instance, and 11 on compute instance 1 of GPU instance 7. The upper half of the first word is
    /// padding, in which anything may stand.
    #[test]
    fn entries_of_each_size_are_told_apart() {
        let none = u64::MAX;
        let expected = [Process { pid: 10, gi: None }, Process { pid: 11, gi: Some(7) }];
        let three = words(&[&[10, 5, none], &[0xdead << 32 | 11, 5, 1 << 32 | 7]]);
        assert_eq!(three.read(2, true).unwrap(), expected);
        let four = words(&[&[10, 5, none, 0], &[11, 5, 1 << 32 | 7, 0]]);
        assert_eq!(four.read(2, true).unwrap(), expected);
        let two = words(&[&[10, 5], &[11, 5]]);
        let without = [Process { pid: 10, gi: None }, Process { pid: 11, gi: None }];
        assert_eq!(two.read(2, false).unwrap(), without);
        assert_eq!(two.read(0, true).unwrap(), []);
    }

    #[test]
    fn more_than_there_is_room_for_is_no_list() {
        assert_eq!(words(&[]).read(5, true), Err(contradiction("5 processes where 4 fit")));
        assert!(words(&[]).read(usize::MAX / 4, true).is_err());
    }
}
