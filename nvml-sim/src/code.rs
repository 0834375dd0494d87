//! NVML's return codes.

use std::ffi::CStr;
use std::fmt;
use std::str::FromStr;

/// A failure as NVML reports it (`nvmlReturn_t` of nvml.h, success left out).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(u32);

/// What an NVML call gives besides its out-parameters.
pub type Answer<T = ()> = Result<T, Code>;

impl Code {
    /// `nvmlInit` has not been called.
    pub const UNINITIALIZED: Code = Code(1);
    /// An argument is out of range, null, or a handle that is none (any more).
    pub const INVALID_ARGUMENT: Code = Code(2);
    /// This GPU, or this state of it, does not offer the operation.
    pub const NOT_SUPPORTED: Code = Code(3);
    /// The operation needs root.
    pub const NO_PERMISSION: Code = Code(4);
    /// There is no such object.
    pub const NOT_FOUND: Code = Code(6);
    /// The caller's buffer is too small.
    pub const INSUFFICIENT_SIZE: Code = Code(7);
    /// There is no driver, here: no usable simulated machine.
    pub const DRIVER_NOT_LOADED: Code = Code(9);
    /// The library has no function of that name.
    pub const FUNCTION_NOT_FOUND: Code = Code(13);
    /// The GPU has to be reset first.
    pub const RESET_REQUIRED: Code = Code(16);
    /// The operating system refused; here: the state could not be read or written.
    pub const OPERATING_SYSTEM: Code = Code(17);
    /// Another client uses the object.
    pub const IN_USE: Code = Code(19);
    /// The instance does not fit.
    pub const INSUFFICIENT_RESOURCES: Code = Code(23);
    /// The version field of a struct is none that the library knows.
    pub const ARGUMENT_VERSION_MISMATCH: Code = Code(25);
    /// A defect of the simulator itself.
    pub const UNKNOWN: Code = Code(999);

    /// The answer of a call that gave this number.
    ///
    /// # Errors
    /// The code, for any number but 0.
    pub const fn of(number: u32) -> Answer {
        match number {
            0 => Ok(()),
            number => Err(Code(number)),
        }
    }

    /// The number C callers see.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// `nvmlReturn_t`: number, constant of nvml.h without `NVML_ERROR_`, text of `nvmlErrorString`
/// (texts as in NVIDIA's nvidia-ml-py).
const TABLE: &[(u32, &str, &CStr)] = &[
    (0, "SUCCESS", c"The operation was successful"),
    (1, "UNINITIALIZED", c"Uninitialized"),
    (2, "INVALID_ARGUMENT", c"Invalid Argument"),
    (3, "NOT_SUPPORTED", c"Not Supported"),
    (4, "NO_PERMISSION", c"Insufficient Permissions"),
    (5, "ALREADY_INITIALIZED", c"Already Initialized"),
    (6, "NOT_FOUND", c"Not Found"),
    (7, "INSUFFICIENT_SIZE", c"Insufficient Size"),
    (8, "INSUFFICIENT_POWER", c"Insufficient External Power"),
    (9, "DRIVER_NOT_LOADED", c"Driver Not Loaded"),
    (10, "TIMEOUT", c"Timeout"),
    (11, "IRQ_ISSUE", c"Interrupt Request Issue"),
    (12, "LIBRARY_NOT_FOUND", c"NVML Shared Library Not Found"),
    (13, "FUNCTION_NOT_FOUND", c"Function Not Found"),
    (14, "CORRUPTED_INFOROM", c"Corrupted infoROM"),
    (15, "GPU_IS_LOST", c"GPU is lost"),
    (16, "RESET_REQUIRED", c"GPU requires restart"),
    (17, "OPERATING_SYSTEM", c"The operating system has blocked the request."),
    (18, "LIB_RM_VERSION_MISMATCH", c"RM has detected an NVML/RM version mismatch."),
    (19, "IN_USE", c"In use by another client"),
    (20, "MEMORY", c"Insufficient Memory"),
    (21, "NO_DATA", c"No data"),
    (22, "VGPU_ECC_NOT_SUPPORTED", c"The requested vgpu operation is not available with ECC enabled"),
    (23, "INSUFFICIENT_RESOURCES", c"Insufficient Resources"),
    (24, "FREQ_NOT_SUPPORTED", c"Frequency not supported"),
    (25, "ARGUMENT_VERSION_MISMATCH", c"Argument version mismatch"),
    (26, "DEPRECATED", c"The requested functionality has been deprecated"),
    (27, "NOT_READY", c"The system is not ready for the request"),
    (28, "GPU_NOT_FOUND", c"No GPUs were found"),
    (29, "INVALID_STATE", c"Resource not in correct state to perform requested operation"),
    (30, "RESET_TYPE_NOT_SUPPORTED", c"Reset not supported for given device/parameters"),
    (999, "UNKNOWN", c"Unknown Error"),
];

/// The text of `nvmlErrorString` for any number, success included.
pub fn text(number: u32) -> &'static CStr {
    TABLE.iter().find(|row| row.0 == number).map_or(c"Unknown Error", |row| row.2)
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match TABLE.iter().find(|row| row.0 == self.0) {
            Some(row) => f.pad(row.1),
            None => write!(f, "{}", self.0),
        }
    }
}

impl std::error::Error for Code {}

impl FromStr for Code {
    type Err = ();

    /// A constant's name, with or without `NVML_ERROR_`, or its number.
    fn from_str(text: &str) -> Result<Self, ()> {
        let name = text.strip_prefix("NVML_ERROR_").unwrap_or(text);
        TABLE
            .iter()
            .find(|row| row.0 != 0 && (row.1 == name || row.0.to_string() == name))
            .map(|row| Code(row.0))
            .ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_names_numbers_and_texts() {
        assert_eq!("IN_USE".parse(), Ok(Code::IN_USE));
        assert_eq!("NVML_ERROR_IN_USE".parse(), Ok(Code::IN_USE));
        assert_eq!("19".parse(), Ok(Code::IN_USE));
        assert_eq!("SUCCESS".parse::<Code>(), Err(()));
        assert_eq!("in_use".parse::<Code>(), Err(()));
        assert_eq!(Code::INSUFFICIENT_RESOURCES.to_string(), "INSUFFICIENT_RESOURCES");
        assert_eq!(text(23), c"Insufficient Resources");
        assert_eq!(text(4711), c"Unknown Error");
    }
}
