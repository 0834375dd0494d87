//! The figures of a board with every gap filled.
//!
//! The tables of [`mig::boards`] leave a number out where nobody has published it. A simulator has to
//! answer something, so each estimate below says what it rests on; none is meant for planning.

use mig::Board;
use mig::boards::{ComputeRow, Row};

/// Memory is given out on a grid of this many MiB on every board seen (`nvidia-smi mig -lgip` prints
/// GiB figures that are multiples of 1/32).
const MEMORY_GRID_MIB: u64 = 32;

/// Engines of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engines {
    /// Copy engines.
    pub copy: u32,
    /// Video decoders.
    pub decoder: u32,
    /// Video encoders.
    pub encoder: u32,
    /// JPEG decoders.
    pub jpeg: u32,
    /// Optical flow accelerators.
    pub ofa: u32,
}

/// Total memory of the GPU, in MiB: its own, or that of a board with the same table (same die and
/// memory), or else the figure in the name of its largest profile.
pub fn total_memory(board: &Board) -> u64 {
    board
        .memory_mib
        .or_else(|| siblings(board).find_map(|b| b.memory_mib))
        .unwrap_or_else(|| u64::from(name_of(whole(board)).memory_gb()) * 1024)
}

/// Boards with the same table: the same die and memory.
fn siblings(board: &Board) -> impl Iterator<Item = &'static Board> {
    let table = |b: &Board| b.rows.iter().map(|r| (r.name, r.memory_mib, r.sms)).collect::<Vec<_>>();
    let own = table(board);
    mig::BOARDS.iter().filter(move |b| table(b) == own)
}

/// Size of the window to the memory, BAR1, in MiB: the power of two that holds it all. So it is in `nvidia-smi -q -x`
/// of A100-SXM4-40GB (65536), H100 80GB HBM3 (131072) and B200 (262144); NVIDIA/k8s-test-infra,
/// tests/e2e/go/assertions/nvidiasmi/testdata/hardware.
pub fn bar1(board: &Board) -> u64 {
    total_memory(board).next_power_of_two()
}

/// Memory of a GPU instance, in MiB; unknown: its share of the total by placement units.
pub fn memory(board: &Board, row: &Row) -> u64 {
    let share = || total_memory(board) * u64::from(row.size) / u64::from(board.units);
    row.memory_mib.unwrap_or_else(|| share() / MEMORY_GRID_MIB * MEMORY_GRID_MIB)
}

/// Streaming multiprocessors outside MIG; unknown: those of a board with the same table, or else of the largest
/// profile.
pub fn total_sms(board: &Board) -> u32 {
    let sibling = || siblings(board).find_map(|b| b.sms);
    board.sms.or_else(sibling).unwrap_or_else(|| sms(board, whole(board)))
}

/// Streaming multiprocessors of a GPU instance; unknown: as many times those of one slice.
pub fn sms(board: &Board, row: &Row) -> u32 {
    let known = |r: &Row| (slices(r) == 1).then_some(r.sms).flatten();
    let slice = || board.rows.iter().find_map(known).expect("boards with numbers have those of a slice");
    row.sms.unwrap_or_else(|| slice() * slices(row))
}

/// Streaming multiprocessors of a compute instance; unknown: those of the GPU instance it fills, or as
/// many times those of one slice.
pub fn compute_sms(board: &Board, row: &Row, compute: &ComputeRow) -> u32 {
    let known = |c: &ComputeRow| (c.slices == 1).then_some(c.sms).flatten();
    let slice = || row.compute.iter().find_map(known).expect("boards with numbers have those of a slice");
    match compute.sms {
        Some(sms) => sms,
        None if compute.id == row.default_compute => sms(board, row),
        None => slice() * u32::from(compute.slices),
    }
}

/// How many compute instances of a profile fit in one GPU instance; never seen: one.
pub fn compute_max(compute: &ComputeRow) -> u32 {
    compute.max.map_or(1, u32::from)
}

/// Engines of a GPU instance; unknown: as many times those of one slice, and the one optical flow
/// accelerator with the whole GPU.
pub fn engines(board: &Board, row: &Row) -> Engines {
    let per_slice = |engine: usize| u32::from(board.rows[0].engines[engine].unwrap_or(0));
    let count =
        |engine: usize| row.engines[engine].map_or_else(|| per_slice(engine) * slices(row), u32::from);
    Engines {
        copy: count(0),
        decoder: count(1),
        encoder: count(2),
        jpeg: count(3),
        ofa: row.engines[4].map_or_else(|| u32::from(row.size == board.units), u32::from),
    }
}

/// Compute slices of a GPU instance profile.
pub fn slices(row: &Row) -> u32 {
    u32::from(name_of(row).slices())
}

fn whole(board: &Board) -> &Row {
    board.rows.iter().find(|r| r.size == board.units).expect("every board has a profile of its full size")
}

fn name_of(row: &Row) -> mig::Profile {
    row.name.parse().expect("names in the table are profile names")
}

/// The row of a compute instance profile that exists.
///
/// # Panics
/// When the GPU instance profile has no such compute profile: states are checked when they are read.
pub fn compute_row(row: &Row, profile: u32) -> &ComputeRow {
    row.compute.iter().find(|c| c.id == profile).expect("compute profiles are checked when a state is read")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Spec;

    /// go-nvlib derives profile names from memory figures; estimates must not lead it to other names.
    #[test]
    fn estimated_memory_still_gives_the_profile_its_name() {
        for board in Spec::keys().map(|k| Board::by_key(k).unwrap()) {
            let total = total_memory(board);
            for row in board.rows {
                let eighths = (memory(board, row) as f64 / total as f64 * 8.0).ceil();
                let figure = (eighths / 8.0 * (total as f64 / 1024.0).ceil()).round();
                assert_eq!(f64::from(name_of(row).memory_gb()), figure, "{} {}", board.key, row.name);
            }
        }
    }

    #[test]
    fn larger_profiles_have_no_fewer_multiprocessors_than_their_parts() {
        for board in Spec::keys().map(|k| Board::by_key(k).unwrap()) {
            for row in board.rows {
                let whole = sms(board, row);
                let parts = row.compute.iter().map(|c| compute_sms(board, row, c));
                assert_eq!(parts.max(), Some(whole), "{} {}", board.key, row.name);
                assert!(engines(board, row).copy >= 1);
            }
        }
    }

    #[test]
    fn bar1_is_that_of_the_published_listings() {
        for (key, mib) in [("a100-40gb", 65536), ("h100-80gb-sxm", 131_072), ("b200-180gb", 262_144)] {
            assert_eq!(bar1(Board::by_key(key).unwrap()), mib, "{key}");
        }
    }

    #[test]
    fn known_figures_stay_and_gaps_are_filled() {
        let a100 = Board::by_key("a100-40gb").unwrap();
        assert_eq!((memory(a100, &a100.rows[0]), sms(a100, &a100.rows[6])), (4864, 98));
        assert_eq!(total_memory(Board::by_key("h800-80gb-sxm").unwrap()), 81559);
        let b200 = Board::by_key("b200-180gb").unwrap();
        let three = b200.rows.iter().find(|r| r.name == "3g.90gb").unwrap();
        assert_eq!((sms(b200, three), memory(b200, three)), (54, 91648));
        assert_eq!(engines(b200, three), Engines { copy: 6, decoder: 3, encoder: 0, jpeg: 3, ofa: 0 });
    }
}
