//! What a GPU says of itself, one fact at a time.

use mig::Architecture;
use nvml_wrapper::Device;
use nvml_wrapper::error::NvmlError;

use super::answer::{Fault, contradiction};
use super::code::Code;
use super::geometry::architecture;
use super::raw::Handle;
use crate::inventory::Mode;
use crate::pci::PciAddress;

/// Highest minor number of a GPU (open-gpu-kernel-modules, nv-chardev-numbers.h), hence one less than the GPUs a node
/// can have.
pub(super) const MAX_MINOR: u32 = 247;

pub(super) fn minor(device: &Device<'_>) -> Result<u32, Fault> {
    let minor = device.minor_number()?;
    if minor > MAX_MINOR { Err(contradiction(minor.to_string())) } else { Ok(minor) }
}

pub(super) fn vbios(handle: Handle<'_>) -> Result<Option<String>, Fault> {
    match handle.vbios() {
        Err(Fault::Code(Code::NOT_SUPPORTED | Code::FUNCTION_NOT_FOUND)) => Ok(None),
        version => version.map(Some),
    }
}

pub(super) fn mode(device: &Device<'_>) -> Result<Mode, Fault> {
    match device.mig_mode() {
        Ok(mode) if mode.current > 1 || mode.pending > 1 => {
            Err(contradiction(format!("the modes {} and {}", mode.current, mode.pending)))
        }
        Ok(mode) => Ok(Mode::Known { current: mode.current == 1, pending: mode.pending == 1 }),
        Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) => Ok(Mode::Unsupported),
        Err(error) => Err(error.into()),
    }
}

/// `0000:07:00.0`, as Linux writes it (`%04x:%02x:%02x.%d`) and everybody who types one, from NVML's
/// `00000000:07:00.0`.
pub(super) fn pci_address(bus_id: &str) -> Result<String, Fault> {
    // What people may leave out, a driver does not.
    let whole = bus_id.matches(':').count() == 2 && bus_id.contains('.');
    let address = PciAddress::parse(bus_id).filter(|_| whole).map(|address| address.to_string());
    address.ok_or_else(|| contradiction(format!("{bus_id:?}, which is no PCI address")))
}

/// What not every driver tells of every GPU. Any other failure is one: files must not silently say less than
/// they did.
pub(super) fn if_supported<T>(result: Result<T, NvmlError>) -> Result<Option<T>, NvmlError> {
    match result {
        Err(NvmlError::NotSupported | NvmlError::FailedToLoadSymbol(_)) => Ok(None),
        result => result.map(Some),
    }
}

/// A generation newer than the bindings comes as the number they did not expect; return codes that they did not
/// expect come the same way, but begin after 22.
pub(super) fn generation(device: &Device<'_>) -> Result<Option<Architecture>, NvmlError> {
    match device.architecture() {
        Err(NvmlError::UnexpectedVariant(number @ ..=22)) => Ok(architecture(number)),
        result => Ok(if_supported(result)?.and_then(|known| architecture(known.as_c()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pci_addresses_are_written_as_linux_does() {
        for (given, written) in [
            ("00000000:07:00.0", "0000:07:00.0"),
            ("0000:8A:00.0", "0000:8a:00.0"),
            ("00010000:01:00.0", "10000:01:00.0"),
        ] {
            assert_eq!(pci_address(given).unwrap(), written);
        }
        for odd in ["", "07:00.0", "0000:07:00.9", "0000:../..:00.0", "0000:+7:00.0", "0000:107:00.0"] {
            assert!(pci_address(odd).is_err(), "{odd}");
        }
    }
}
