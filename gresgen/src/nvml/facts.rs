//! What calls tell, without the handles that they tell it of.

/// A GPU instance profile as the driver describes it.
#[derive(Clone, Debug)]
pub(super) struct GpuProfile {
    pub(super) id: u32,
    pub(super) slices: u32,
    pub(super) max: u32,
    pub(super) sms: u32,
    /// Copy, decoder, encoder, JPEG, optical flow.
    pub(super) engines: [u32; 5],
    pub(super) memory_mib: u64,
    /// `MIG 1g.5gb`; absent from drivers that know only the first version of the struct.
    pub(super) name: Option<String>,
}

/// A compute instance profile as the driver describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ComputeProfile {
    pub(super) id: u32,
    pub(super) slices: u32,
    pub(super) max: u32,
    pub(super) sms: u32,
}

/// What a MIG device says of itself (`nvmlDeviceGetAttributes_v2`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    /// SMs of the compute instance.
    pub(super) sms: u32,
    /// Compute slices of the compute instance.
    pub(super) slices: u32,
}

/// What NVML says of a GPU's place on the PCI bus.
#[derive(Clone, Debug)]
pub(super) struct Pci {
    /// `00000000:07:00.0`
    pub(super) bus_id: String,
    /// Device id, high, and vendor id, low.
    pub(super) device: u32,
    /// The same of the board.
    pub(super) subsystem: u32,
}
