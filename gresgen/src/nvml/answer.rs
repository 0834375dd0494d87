//! What can be believed of an answer: texts that end, lists that fit their buffers, handles that are none.

use std::ffi::{c_char, c_uint};
use std::ptr::null_mut;

use nvml_wrapper::error::NvmlError;

use super::code::Code;

/// Bytes of every text: `NVML_DEVICE_UUID_V2_BUFFER_SIZE` and `NVML_DEVICE_NAME_V2_BUFFER_SIZE`, and more than
/// `NVML_DEVICE_VBIOS_VERSION_BUFFER_SIZE` and `NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE`.
const TEXT: usize = 96;
/// Most instances of one profile, and MIG devices, that are believed of a GPU, which has 4 to 12 placement units.
pub(super) const MAX_INSTANCES: c_uint = 64;

/// Why a call gave nothing to work with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It failed, with this return code.
    Code(Code),
    /// It returned success and gave this, which cannot be.
    Contradiction(String),
}

/// An answer that cannot be, as the object of "gives".
pub(super) fn contradiction(what: impl Into<String>) -> Fault {
    Fault::Contradiction(what.into())
}

impl From<Code> for Fault {
    fn from(code: Code) -> Self {
        Fault::Code(code)
    }
}

impl From<NvmlError> for Fault {
    fn from(error: NvmlError) -> Self {
        Fault::Code(error.into())
    }
}

/// Room for as many handles as a profile says there can be.
pub(super) fn buffer<T>(most: u32) -> Result<Vec<*mut T>, Fault> {
    if most > MAX_INSTANCES {
        return Err(contradiction(format!("room for {most} instances of one profile")));
    }
    Ok(vec![null_mut(); most as usize])
}

/// The handles among `handles` that were written.
pub(super) fn within_count<T>(mut handles: Vec<*mut T>, count: c_uint) -> Result<Vec<*mut T>, Fault> {
    if count as usize > handles.len() {
        return Err(contradiction(format!("{count} instances where {} fit", handles.len())));
    }
    handles.truncate(count as usize);
    if handles.iter().any(|handle| handle.is_null()) { Err(contradiction("no handle")) } else { Ok(handles) }
}

/// The text that `fill` writes; never an empty one.
pub(super) fn words(
    fill: impl FnOnce(*mut c_char, c_uint) -> Result<(), NvmlError>,
) -> Result<String, Fault> {
    let mut buffer: [c_char; TEXT] = [0; TEXT];
    fill(buffer.as_mut_ptr(), TEXT as c_uint)?;
    text(&buffer)
}

/// The text in a fixed buffer; never an empty one.
pub(super) fn text(buffer: &[c_char]) -> Result<String, Fault> {
    let text = ascii(buffer)?;
    if text.is_empty() { Err(contradiction("an empty text")) } else { Ok(text) }
}

/// The text in a fixed buffer. Whatever NVML names is plain ASCII, and is shown on terminals.
pub(super) fn ascii(buffer: &[c_char]) -> Result<String, Fault> {
    let end = buffer.iter().position(|c| *c == 0).ok_or_else(|| contradiction("a text without an end"))?;
    let text: String = buffer[..end].iter().map(|c| char::from(c.cast_unsigned())).collect();
    let plain = text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    if plain { Ok(text) } else { Err(contradiction(format!("{text:?}, which is no plain text"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(text: &[u8]) -> Vec<c_char> {
        text.iter().map(|byte| byte.cast_signed()).collect()
    }

    #[test]
    fn a_text_ends_and_is_plain() {
        assert_eq!(text(&chars(b"GPU-a\0x")).unwrap(), "GPU-a");
        assert_eq!(ascii(&chars(b"\0")).unwrap(), "");
        for bad in [&b"GPU-a"[..], b"", b"\0", b"a\nb\0", b"\x1b[2J\0", b"\xff\xfe\0"] {
            assert!(matches!(text(&chars(bad)), Err(Fault::Contradiction(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_list_is_no_longer_than_its_buffer_and_has_no_holes() {
        let one = std::ptr::without_provenance_mut::<u8>(8);
        assert_eq!(within_count(vec![one, null_mut()], 1).unwrap(), [one]);
        assert!(within_count(vec![one], 2).is_err());
        assert!(within_count(vec![one, null_mut()], 2).is_err());
        assert!(buffer::<u8>(u32::MAX).is_err());
    }
}
