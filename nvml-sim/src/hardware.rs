//! What a board reports beside MIG: numbers of nvidia-smi's general pages, from published listings.
//!
//! Subsystem ids are those of the driver's name table for the first product name of the board
//! (NVIDIA/open-gpu-kernel-modules, `g_nv_name_released.h`; where it has several, one that a listing shows).
//! Reserved memory is of `nvidia-smi -q` under R570 and R580 (NVIDIA/k8s-test-infra,
//! tests/e2e/go/assertions/nvidiasmi/testdata/hardware), of the H100 and the H200 as boards answered. Bus
//! widths are NVIDIA's data sheets', or of the same memory on a sibling board.

use mig::Board;
use mig::boards::Architecture;

/// Bytes in a MiB.
const MIB: u64 = 1 << 20;

/// One board, by its key in [`mig::BOARDS`].
struct Facts {
    key: &'static str,
    subsystem: u16,
    /// Memory that the driver keeps for itself, in bytes.
    reserved: Option<u64>,
    /// Width of the memory bus, in bits.
    bus_width: Option<u32>,
}

const fn facts(key: &'static str, subsystem: u16, reserved: Option<u64>, bus_width: Option<u32>) -> Facts {
    Facts { key, subsystem, reserved, bus_width }
}

/// The boards that can be simulated.
const TABLE: &[Facts] = &[
    facts("a100-40gb", 0x134f, Some(518 * MIB), Some(5120)),
    facts("a800-40gb", 0x17f4, None, Some(5120)),
    facts("a100-80gb", 0x1463, None, Some(5120)),
    facts("a800-80gb", 0x179b, None, Some(5120)),
    facts("a30-24gb", 0x1532, None, Some(3072)),
    facts("h100-80gb-sxm", 0x16c1, Some(480 * MIB), Some(5120)),
    facts("h100-80gb-pcie", 0x1626, None, Some(5120)),
    facts("h800-80gb-sxm", 0x17a6, None, Some(5120)),
    facts("h800-80gb-pcie", 0x17a4, None, Some(5120)),
    facts("h100-94gb-nvl", 0x1839, None, Some(6016)),
    facts("h800-94gb-nvl", 0x183a, None, Some(6016)),
    facts("h100-94gb-sxm", 0x17fc, None, Some(6016)),
    facts("gh200-96gb", 0x1809, None, None),
    facts("gh200-144gb", 0x18d2, None, None),
    facts("h200-141gb", 0x18bf, Some(644_939_776), Some(6016)),
    facts("b200-180gb", 0x1999, Some(728 * MIB), None),
    facts("gb200-186gb", 0x2046, Some(742 * MIB), None),
    facts("gb200-189gb", 0x2046, None, None),
    facts("rtx-pro-6000-blackwell-96gb", 0x204b, None, Some(512)),
];

fn of(board: &Board) -> Option<&'static Facts> {
    TABLE.iter().find(|facts| facts.key == board.key)
}

/// PCI id of the board itself; 0 for one that has none here.
pub fn subsystem(board: &Board) -> u16 {
    of(board).map_or(0, |facts| facts.subsystem)
}

/// Memory that the driver keeps for itself, in bytes; unknown: that of a board of its generation.
pub fn reserved_memory(board: &Board) -> u64 {
    let sibling = match board.architecture {
        Architecture::Ampere => 518 * MIB,
        Architecture::Hopper => 480 * MIB,
        Architecture::Blackwell => 728 * MIB,
    };
    of(board).and_then(|facts| facts.reserved).unwrap_or(sibling)
}

/// Width of the memory bus, in bits, if it has been published.
pub fn bus_width(board: &Board) -> Option<u32> {
    of(board)?.bus_width
}

/// Whether this is a GPU of the RTX PRO line (GB20x), which is another chip than B200's.
pub fn is_rtx(board: &Board) -> bool {
    board.units == 12
}

/// CUDA compute capability (CUDA C++ Programming Guide): 8.0, 9.0, 10.0, and 12.0 for RTX PRO.
pub fn capability(board: &Board) -> (u8, u8) {
    match board.architecture {
        Architecture::Ampere => (8, 0),
        Architecture::Hopper => (9, 0),
        Architecture::Blackwell if is_rtx(board) => (12, 0),
        Architecture::Blackwell => (10, 0),
    }
}

/// CUDA cores of a multiprocessor (CUDA C++ Programming Guide, arithmetic throughput of 32-bit floats): 64 on
/// compute capability 8.0, 128 on the later ones.
pub fn cores_per_multiprocessor(board: &Board) -> u32 {
    match board.architecture {
        Architecture::Ampere => 64,
        Architecture::Hopper | Architecture::Blackwell => 128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Spec;

    #[test]
    fn every_board_that_can_be_simulated_has_an_id_of_its_own() {
        for key in Spec::keys() {
            let board = Board::by_key(key).unwrap();
            assert_ne!(subsystem(board), 0, "{key}");
            assert_ne!(Some(&subsystem(board)), board.pci_ids.first(), "{key}: that is the chip's");
            assert!(reserved_memory(board) > 0, "{key}");
        }
        assert!(TABLE.iter().all(|facts| Board::by_key(facts.key).is_some()));
    }
}
