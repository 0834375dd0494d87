//! UUIDs as the driver makes them (open-gpu-kernel-modules, gpu_uuid.c): SHA-1 name-based, so that one
//! GPU cut the same way gets the same UUIDs again.

use ::uuid::{Uuid, uuid};

/// The driver's namespace.
const NAMESPACE: Uuid = uuid!("c816c9a3-5224-56bf-9d9a-ac7ea703fb5b");

/// A GPU as the driver's formula sees it.
#[derive(Clone, Copy, Debug)]
pub struct Chip {
    /// Chip id, as in the PMC_BOOT registers: 0x170 is GA100.
    pub id: u16,
    /// Per-device identifier fused into the chip.
    pub pdi: u64,
}

impl Chip {
    /// UUID of the GPU, with its prefix `GPU-`.
    pub fn gpu(self) -> String {
        format!("GPU-{}", Uuid::new_v5(&NAMESPACE, &self.bytes()))
    }

    /// UUID of the MIG device whose first graphics engine is `syspipe`, with its prefix `MIG-`.
    pub fn mig(self, gpu_instance: u32, syspipe: u32) -> String {
        let mut bytes = self.bytes();
        bytes.push(0x0b);
        bytes.extend_from_slice(b"SMC");
        bytes.extend_from_slice(&gpu_instance.to_le_bytes());
        bytes.extend_from_slice(&syspipe.to_le_bytes());
        format!("MIG-{}", Uuid::new_v5(&NAMESPACE, &bytes))
    }

    fn bytes(self) -> Vec<u8> {
        let mut bytes = b"NVIDIA GPU".to_vec();
        bytes.push(0x02);
        bytes.extend_from_slice(&self.id.to_le_bytes());
        bytes.push(0x08);
        bytes.extend_from_slice(&self.pdi.to_le_bytes());
        bytes
    }
}

/// An invented per-device identifier: the n-th GPU of a key is the same on every machine.
pub fn invented_pdi(key: &str, position: usize) -> u64 {
    Uuid::new_v5(&NAMESPACE, format!("{key}/{position}").as_bytes()).as_u64_pair().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_of_version_5_and_depend_on_every_part() {
        let chip = Chip { id: 0x170, pdi: 0x1122_3344_5566_7788 };
        let all = [
            chip.gpu().replace("GPU-", "MIG-"),
            chip.mig(1, 0),
            chip.mig(2, 0),
            chip.mig(1, 1),
            Chip { pdi: 1, ..chip }.mig(1, 0),
            Chip { id: 0x180, ..chip }.mig(1, 0),
        ];
        for (i, uuid) in all.iter().enumerate() {
            let parsed: Uuid = uuid.strip_prefix("MIG-").unwrap().parse().unwrap();
            assert_eq!(parsed.get_version_num(), 5);
            assert!(!all[..i].contains(uuid));
        }
        assert_eq!(chip.mig(1, 0), chip.mig(1, 0));
    }

    /// The formula written out once more, by the definition of a name-based UUID.
    #[test]
    fn the_name_is_the_drivers_byte_string() {
        let chip = Chip { id: 0x0170, pdi: 2 };
        let name = b"NVIDIA GPU\x02\x70\x01\x08\x02\0\0\0\0\0\0\0\x0bSMC\x09\0\0\0\x03\0\0\0";
        assert_eq!(chip.mig(9, 3), format!("MIG-{}", Uuid::new_v5(&NAMESPACE, name)));
    }
}
