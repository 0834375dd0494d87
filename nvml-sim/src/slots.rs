//! Slots: the driver's measure of what a GPU instance takes.
//!
//! Every GPU instance id stands for a fixed share of the memory, and of eight slots each belongs to four ids
//! (open-gpu-kernel-modules, `kmigmgrGetInvalidSwizzIdMask`).

/// Ids that own each slot. Full: 0, halves: 1-2, quarters: 3-6, eighths: 7-14.
const SLOTS: [[u32; 4]; 8] = [
    [0, 1, 3, 7],
    [0, 1, 3, 8],
    [0, 1, 4, 9],
    [0, 1, 4, 10],
    [0, 2, 5, 11],
    [0, 2, 5, 12],
    [0, 2, 6, 13],
    [0, 2, 6, 14],
];

/// The slots of a GPU instance id, one bit each.
pub(crate) fn slots(id: u32) -> u8 {
    SLOTS.iter().enumerate().filter(|(_, ids)| ids.contains(&id)).fold(0, |mask, (slot, _)| mask | 1 << slot)
}
