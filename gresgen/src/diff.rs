//! What differs between two texts, as patch(1) reads it.

use similar::TextDiff;

/// The hunks of a unified diff, without the names before them. Files may be in any encoding, so it is bytes.
pub(crate) fn hunks(old: &[u8], new: &[u8]) -> Vec<u8> {
    bytes(&TextDiff::from_lines(signs(old), signs(new)).unified_diff().to_string())
}

/// Begins the signs that stand for bytes.
const FIRST: u32 = 0x100;

/// Each byte as a sign of its own, so that no byte is lost where text is compared, and none but a line's end is taken for
/// one: to patch(1) a carriage return is a sign like others.
fn signs(text: &[u8]) -> String {
    let sign = |&byte: &u8| match byte {
        b'\n' => Some('\n'),
        byte => char::from_u32(FIRST + u32::from(byte)),
    };
    text.iter().filter_map(sign).collect()
}

/// Signs as their bytes, and what stands between them as it is.
fn bytes(text: &str) -> Vec<u8> {
    let byte = |sign: char| {
        let sign = u32::from(sign);
        u8::try_from(sign.checked_sub(FIRST).unwrap_or(sign)).unwrap_or(b'?')
    };
    text.chars().map(byte).collect()
}
