//! The other side of the C interface: an NVML, real or simulated, to ask. Nothing here changes a GPU.
//!
//! The functions are those of nvml.h, with the types nvml-wrapper-sys binds them with. A symbol that the
//! library lacks is FUNCTION_NOT_FOUND at its call.

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_ulong};
use std::path::Path;
use std::ptr::null_mut;

use nvml_wrapper_sys::bindings::*;

mod calls;
mod profile;

use calls::{calls, function};
pub use profile::Profile;

use crate::code::{Answer, Code};

/// A loaded and initialised NVML.
pub struct Client {
    lib: NvmlLib,
}

/// A device handle of the library it came from.
#[derive(Clone, Copy)]
pub struct DeviceHandle(nvmlDevice_t);

/// A GPU instance's handle.
#[derive(Clone, Copy)]
pub struct GpuInstanceHandle(nvmlGpuInstance_t);

/// A compute instance's handle.
#[derive(Clone, Copy)]
pub struct ComputeInstanceHandle(nvmlComputeInstance_t);

/// A C struct or number for which all zeroes is a value, as it is for every out-parameter of nvml.h.
trait Zeroed: Sized {
    fn zeroed() -> Self {
        // SAFETY: only implemented for C structs of integers, characters and raw pointers.
        unsafe { std::mem::zeroed() }
    }
}

macro_rules! zeroed { ($($type:ty),* $(,)?) => { $(impl Zeroed for $type {})* } }

zeroed!(
    u32,
    i32,
    u64,
    nvmlDevice_t,
    nvmlGpuInstance_t,
    nvmlPciInfo_t,
    nvmlMemory_t,
    nvmlDeviceAttributes_t,
    nvmlGpuInstanceProfileInfo_t,
    nvmlGpuInstanceInfo_t,
    nvmlComputeInstanceProfileInfo_t,
    nvmlComputeInstanceInfo_t,
);

/// The driver has ids for 15 GPU instances and 8 compute instances in each.
const INSTANCES: usize = 16;

/// Processes asked for at most.
const PROCESSES: usize = 256;

/// Start and size of a place, in placement units or compute slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Place {
    /// First unit.
    pub start: u32,
    /// Units.
    pub size: u32,
}

impl Client {
    /// Loads a library and initialises it.
    ///
    /// # Errors
    /// A sentence that names the library: it cannot be loaded, or does not start.
    pub fn load(library: &Path) -> Result<Client, String> {
        // SAFETY: loading runs the library's initialisers: it is the NVML that the user named.
        let lib = unsafe { NvmlLib::new(library) }.map_err(|e| e.to_string())?;
        let client = Client { lib };
        client.init().map_err(|code| format!("{}: nvmlInit_v2: {code}", library.display()))?;
        Ok(client)
    }

    fn init(&self) -> Answer {
        // SAFETY: takes nothing.
        Code::of(unsafe { function!(self, nvmlInit_v2)() })
    }

    /// Whether the library has a function of that name.
    pub fn exports(&self, name: &CStr) -> bool {
        // SAFETY: the symbol is looked for, never called.
        unsafe { self.lib.__library.get::<unsafe extern "C" fn()>(name.to_bytes_with_nul()) }.is_ok()
    }

    calls! { system
        /// Version of the driver.
        driver_version = nvmlSystemGetDriverVersion;
        /// Version of NVML.
        nvml_version = nvmlSystemGetNVMLVersion;
    }

    /// CUDA version of the driver, major times 1000 and minor times 10.
    ///
    /// # Errors
    /// NVML's code.
    pub fn cuda_version(&self) -> Answer<i32> {
        let mut version: c_int = 0;
        // SAFETY: `version` is valid for one value.
        Code::of(unsafe { function!(self, nvmlSystemGetCudaDriverVersion_v2)(&raw mut version) })?;
        Ok(version)
    }

    /// Number of GPUs.
    ///
    /// # Errors
    /// NVML's code.
    pub fn count(&self) -> Answer<u32> {
        let mut count: c_uint = 0;
        // SAFETY: `count` is valid for one value.
        Code::of(unsafe { function!(self, nvmlDeviceGetCount_v2)(&raw mut count) })?;
        Ok(count)
    }

    /// The GPU at an index.
    ///
    /// # Errors
    /// NVML's code.
    pub fn by_index(&self, index: u32) -> Answer<DeviceHandle> {
        let mut device = null_mut();
        // SAFETY: `device` is valid for one handle.
        Code::of(unsafe { function!(self, nvmlDeviceGetHandleByIndex_v2)(index, &raw mut device) })?;
        Ok(DeviceHandle(device))
    }

    /// The device of a UUID.
    ///
    /// # Errors
    /// NVML's code.
    pub fn by_uuid(&self, uuid: &str) -> Answer<DeviceHandle> {
        let (uuid, mut device) = (c_text(uuid)?, null_mut());
        // SAFETY: a text with its null byte, and a place for one handle.
        Code::of(unsafe { function!(self, nvmlDeviceGetHandleByUUID)(uuid.as_ptr(), &raw mut device) })?;
        Ok(DeviceHandle(device))
    }

    /// The GPU at a PCI address.
    ///
    /// # Errors
    /// NVML's code.
    pub fn by_pci(&self, address: &str) -> Answer<DeviceHandle> {
        let (address, mut device) = (c_text(address)?, null_mut());
        let function = function!(self, nvmlDeviceGetHandleByPciBusId_v2);
        // SAFETY: as above.
        Code::of(unsafe { function(address.as_ptr(), &raw mut device) })?;
        Ok(DeviceHandle(device))
    }

    calls! { text
        /// Product name.
        name = nvmlDeviceGetName;
        /// UUID.
        uuid = nvmlDeviceGetUUID;
        /// Serial number of the board.
        serial = nvmlDeviceGetSerial;
    }

    calls! { one
        /// NVML index.
        index(DeviceHandle) -> u32 = nvmlDeviceGetIndex;
        /// Number of the device file.
        minor(DeviceHandle) -> u32 = nvmlDeviceGetMinorNumber;
        /// `NVML_DEVICE_ARCH_*`
        architecture(DeviceHandle) -> u32 = nvmlDeviceGetArchitecture;
        /// The most MIG devices, 0 with MIG mode off.
        max_mig_devices(DeviceHandle) -> u32 = nvmlDeviceGetMaxMigDeviceCount;
        /// Number made of the PCI address.
        board_id(DeviceHandle) -> u32 = nvmlDeviceGetBoardId;
        /// Whether the board has several GPUs.
        multi_gpu_board(DeviceHandle) -> u32 = nvmlDeviceGetMultiGpuBoard;
        /// Whether the driver stays loaded without clients.
        persistence_mode(DeviceHandle) -> u32 = nvmlDeviceGetPersistenceMode;
        /// `NVML_COMPUTEMODE_*`
        compute_mode(DeviceHandle) -> u32 = nvmlDeviceGetComputeMode;
        /// CUDA cores.
        cores(DeviceHandle) -> u32 = nvmlDeviceGetNumGpuCores;
        /// Width of the memory bus, in bits.
        bus_width(DeviceHandle) -> u32 = nvmlDeviceGetMemoryBusWidth;
        /// `NVML_BRAND_*`
        brand(DeviceHandle) -> u32 = nvmlDeviceGetBrand;
        /// Whether a display shows what the GPU draws.
        display_active(DeviceHandle) -> u32 = nvmlDeviceGetDisplayActive;
        /// `NVML_GPU_VIRTUALIZATION_MODE_*`
        virtualization_mode(DeviceHandle) -> u32 = nvmlDeviceGetVirtualizationMode;
        /// GPU instance of a MIG device.
        gpu_instance_id(DeviceHandle) -> u32 = nvmlDeviceGetGpuInstanceId;
        /// Compute instance of a MIG device.
        compute_instance_id(DeviceHandle) -> u32 = nvmlDeviceGetComputeInstanceId;
        /// Whether processes are accounted.
        accounting_mode(DeviceHandle) -> u32 = nvmlDeviceGetAccountingMode;
        /// Whether the handle is a MIG device's.
        is_mig(DeviceHandle) -> u32 = nvmlDeviceIsMigDeviceHandle;
        /// PCI address and ids.
        pci(DeviceHandle) -> nvmlPciInfo_t = nvmlDeviceGetPciInfo_v3;
        /// Memory.
        memory(DeviceHandle) -> nvmlMemory_t = nvmlDeviceGetMemoryInfo;
        /// Figures of a MIG device.
        attributes(DeviceHandle) -> nvmlDeviceAttributes_t = nvmlDeviceGetAttributes_v2;
        /// A GPU instance profile by its number in nvml.h.
        profile(DeviceHandle, number) -> nvmlGpuInstanceProfileInfo_t = nvmlDeviceGetGpuInstanceProfileInfo;
        /// How many more instances of the profile with an id fit.
        capacity(DeviceHandle, id) -> u32 = nvmlDeviceGetGpuInstanceRemainingCapacity;
        /// What a GPU instance is.
        gpu_instance(GpuInstanceHandle) -> nvmlGpuInstanceInfo_t = nvmlGpuInstanceGetInfo;
        /// What a compute instance is.
        compute_instance(ComputeInstanceHandle) -> nvmlComputeInstanceInfo_t = nvmlComputeInstanceGetInfo_v2;
        /// How many more compute instances of the profile with an id fit.
        compute_capacity(GpuInstanceHandle, id) -> u32 = nvmlGpuInstanceGetComputeInstanceRemainingCapacity;
    }

    calls! { two
        /// MIG mode, the present one and the one after a reset.
        mig_mode -> u32 = nvmlDeviceGetMigMode;
        /// CUDA compute capability, major and minor.
        capability -> i32 = nvmlDeviceGetCudaComputeCapability;
    }

    calls! { list
        /// Places of a GPU instance profile, by its id.
        placements(DeviceHandle) -> Place = nvmlDeviceGetGpuInstancePossiblePlacements_v2;
        /// Places of a compute instance profile, by its id.
        compute_placements(GpuInstanceHandle) -> Place = nvmlGpuInstanceGetComputeInstancePossiblePlacements;
    }

    calls! { sized
        /// GPU instances of a profile, by its id.
        gpu_instances(DeviceHandle) -> GpuInstanceHandle(nvmlGpuInstance_t) = nvmlDeviceGetGpuInstances;
        /// Compute instances of a profile, by its id.
        compute_instances(GpuInstanceHandle) -> ComputeInstanceHandle(nvmlComputeInstance_t)
            = nvmlGpuInstanceGetComputeInstances;
    }

    calls! { processes
        /// Processes that compute.
        computing = nvmlDeviceGetComputeRunningProcesses_v3;
        /// Processes that draw.
        drawing = nvmlDeviceGetGraphicsRunningProcesses_v3;
        /// Processes that compute under MPS.
        computing_under_mps = nvmlDeviceGetMPSComputeRunningProcesses_v3;
    }

    /// The GPU of a MIG device.
    ///
    /// # Errors
    /// NVML's code.
    pub fn parent(&self, of: DeviceHandle) -> Answer<DeviceHandle> {
        let mut device = null_mut();
        let function = function!(self, nvmlDeviceGetDeviceHandleFromMigDeviceHandle);
        // SAFETY: a handle of this library, and a place for one.
        Code::of(unsafe { function(of.0, &raw mut device) })?;
        Ok(DeviceHandle(device))
    }

    /// The MIG device at an index of a GPU.
    ///
    /// # Errors
    /// NVML's code.
    pub fn mig_device(&self, of: DeviceHandle, index: u32) -> Answer<DeviceHandle> {
        let mut device = null_mut();
        let function = function!(self, nvmlDeviceGetMigDeviceHandleByIndex);
        // SAFETY: as above.
        Code::of(unsafe { function(of.0, index, &raw mut device) })?;
        Ok(DeviceHandle(device))
    }

    /// The GPU instance of an id.
    ///
    /// # Errors
    /// NVML's code.
    pub fn gpu_instance_by_id(&self, of: DeviceHandle, id: u32) -> Answer<GpuInstanceHandle> {
        let mut instance = null_mut();
        // SAFETY: as above.
        Code::of(unsafe { function!(self, nvmlDeviceGetGpuInstanceById)(of.0, id, &raw mut instance) })?;
        Ok(GpuInstanceHandle(instance))
    }

    /// The device that an info struct names.
    pub fn named(&self, device: nvmlDevice_t) -> DeviceHandle {
        DeviceHandle(device)
    }

    /// Memory with what the driver keeps for itself.
    ///
    /// # Errors
    /// NVML's code.
    pub fn memory_v2(&self, of: DeviceHandle) -> Answer<nvmlMemory_v2_t> {
        let version = tag::<nvmlMemory_v2_t>(2);
        let mut memory = nvmlMemory_v2_t { version, total: 0, reserved: 0, free: 0, used: 0 };
        // SAFETY: as above; the version says the size of the struct.
        Code::of(unsafe { function!(self, nvmlDeviceGetMemoryInfo_v2)(of.0, &raw mut memory) })?;
        Ok(memory)
    }

    /// CPUs near a device, of the first 1024.
    ///
    /// # Errors
    /// NVML's code.
    pub fn cpus(&self, of: DeviceHandle) -> Answer<u32> {
        let mut mask: [c_ulong; 16] = [0; 16];
        let function = function!(self, nvmlDeviceGetCpuAffinity);
        // SAFETY: as above; the mask has the length that is said.
        Code::of(unsafe { function(of.0, mask.len() as c_uint, mask.as_mut_ptr()) })?;
        Ok(mask.iter().map(|word| word.count_ones()).sum())
    }

    /// A field that is a whole number of 32 bits.
    ///
    /// # Errors
    /// NVML's code, of the call or of the field.
    pub fn field(&self, of: DeviceHandle, id: u32) -> Answer<u32> {
        // SAFETY: a struct of integers and a union of numbers.
        let mut field: nvmlFieldValue_t = unsafe { std::mem::zeroed() };
        field.fieldId = id;
        // SAFETY: as above; one field.
        Code::of(unsafe { function!(self, nvmlDeviceGetFieldValues)(of.0, 1, &raw mut field) })?;
        Code::of(field.nvmlReturn)?;
        // SAFETY: every bit pattern is a number.
        Ok(unsafe { field.value.uiVal })
    }

    /// What asking for the MIG mode with null pointers gives.
    ///
    /// # Errors
    /// NVML's code.
    pub fn mig_mode_into_nothing(&self, of: DeviceHandle) -> Answer {
        // SAFETY: NVML checks its pointers for null, which this asks.
        Code::of(unsafe { function!(self, nvmlDeviceGetMigMode)(of.0, null_mut(), null_mut()) })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Ok(shutdown) = &self.lib.nvmlShutdown {
            // SAFETY: takes nothing; initialised once, in `load`.
            unsafe { shutdown() };
        }
    }
}

/// First field of a versioned struct: its size, the version in the high byte.
const fn tag<T>(version: u32) -> u32 {
    size_of::<T>() as u32 | version << 24
}

/// The text of a C buffer, up to its null byte or its end.
pub fn text(buffer: &[c_char]) -> String {
    let bytes: Vec<u8> = buffer.iter().map(|&c| c as u8).take_while(|&byte| byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

fn c_text(text: &str) -> Answer<CString> {
    CString::new(text).map_err(|_| Code::INVALID_ARGUMENT)
}
