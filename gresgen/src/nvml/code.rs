//! NVML's return codes, all of them: nvml-wrapper folds those after 22 into `UnexpectedVariant`.

use std::fmt;

use nvml_wrapper::error::NvmlError;

/// A return code of an NVML call other than success (nvml.h, `nvmlReturn_t`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32);

impl Code {
    /// The library is there, the driver is not.
    pub const DRIVER_NOT_LOADED: Code = Code(9);
    /// An argument the call does not know: the end of every profile enumeration.
    pub const INVALID_ARGUMENT: Code = Code(2);
    /// Not on this GPU, or not in this mode.
    pub const NOT_SUPPORTED: Code = Code(3);
    /// The caller is not root.
    pub const NO_PERMISSION: Code = Code(4);
    /// The buffer is too small; the count says what is needed.
    pub const INSUFFICIENT_SIZE: Code = Code(7);
    /// The library lacks the function.
    pub const FUNCTION_NOT_FOUND: Code = Code(13);
    /// The GPU fell off the bus.
    pub const GPU_IS_LOST: Code = Code(15);
    /// The GPU must be reset first.
    pub const RESET_REQUIRED: Code = Code(16);
    /// Somebody uses it.
    pub const IN_USE: Code = Code(19);

    /// What the code means, in the words of `nvmlErrorString` where those are known.
    pub fn text(self) -> &'static str {
        match self.0 {
            0 => "Success",
            1 => "Uninitialized",
            2 => "Invalid Argument",
            3 => "Not Supported",
            4 => "Insufficient Permissions",
            6 => "Not Found",
            7 => "Insufficient Size",
            9 => "Driver Not Loaded",
            10 => "Timeout",
            13 => "Function Not Found",
            15 => "GPU is lost",
            16 => "GPU requires restart",
            17 => "the operating system blocked the call",
            18 => "driver and library versions differ",
            19 => "In use by another client",
            20 => "Insufficient Memory",
            23 => "Insufficient Resources",
            25 => "Argument Version Mismatch",
            _ => "Unknown Error",
        }
    }

    /// What an admin can do about it, where there is something to say.
    pub fn hint(self) -> Option<&'static str> {
        match self {
            Code::NO_PERMISSION => Some("run it as root"),
            Code::IN_USE => {
                Some("see who holds the GPU: gresgen status; monitoring agents (DCGM, exporters) count too")
            }
            Code::RESET_REQUIRED => Some("reset the GPU: nvidia-smi --gpu-reset -i <GPU>, or reboot"),
            Code::GPU_IS_LOST => {
                Some("look for Xid messages in the kernel log; the GPU needs a reboot or repair")
            }
            Code(18) => {
                Some("the driver was updated under a running module: reboot or reload the nvidia modules")
            }
            _ => None,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (NVML code {})", self.text(), self.0)
    }
}

impl From<NvmlError> for Code {
    fn from(error: NvmlError) -> Self {
        match error {
            NvmlError::FailedToLoadSymbol(_) => Code::FUNCTION_NOT_FOUND,
            other => Code(other.into()),
        }
    }
}
