//! Addresses and ids of PCI devices, as people, Linux and NVML write them.

use std::fmt;
use std::str::FromStr;

/// Domain, bus, device and function: `0000:07:00.0`, with eight digits of domain as nvidia-smi prints it,
/// without domain, or without function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciAddress {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

impl PciAddress {
    /// `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, function) = text.split_once('.').unwrap_or((text, "0"));
        let mut parts = rest.rsplit(':');
        let (device, bus) = (hex(parts.next()?, 2)?, hex(parts.next()?, 2)?);
        let domain = parts.next().map_or(Some(0), |domain| hex(domain, 8))?;
        let narrow = |n: u32| u8::try_from(n).ok();
        let address = PciAddress {
            domain,
            bus: narrow(bus)?,
            device: narrow(device).filter(|&d| d < 32)?,
            function: narrow(hex(function, 1)?).filter(|&f| f < 8)?,
        };
        parts.next().is_none().then_some(address)
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

/// PCI ids of a GPU, each with the device in the high half and the vendor in the low one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PciIds {
    /// Of the chip: `0x20B010DE`.
    pub device: u32,
    /// Of the board that carries it; `None` where it is not known, or does not matter.
    pub subsystem: Option<u32>,
}

impl PciIds {
    /// Whether a GPU with the ids `of` is meant.
    pub fn matches(self, of: PciIds) -> bool {
        self.device == of.device && (self.subsystem.is_none() || self.subsystem == of.subsystem)
    }
}

impl FromStr for PciIds {
    type Err = ();

    /// `0x20B010DE`, or with the board's ids `0x20B010DE:0x134F10DE`, as mig-parted writes them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| {
            let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).ok_or(())?;
            hex(digits, 8).ok_or(())
        };
        match text.split_once(':') {
            None => Ok(PciIds { device: number(text)?, subsystem: None }),
            Some((device, board)) => Ok(PciIds { device: number(device)?, subsystem: Some(number(board)?) }),
        }
    }
}

fn hex(digits: &str, most: usize) -> Option<u32> {
    let right = (1..=most).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
    right.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}
