//! Pointers from C callers. Each type has the layout of a C pointer, so it stands in the signature of an
//! exported function, and only such a function can get one: nothing in Rust constructs them. NVML's
//! contract with its callers (nvml.h) is that a pointer is null or valid for what the function documents.

use std::ffi::{CStr, c_char};

use crate::code::{Answer, Code};

/// A place for one value, or the first of several.
#[repr(transparent)]
pub(super) struct Out<T>(*mut T);

/// A text, ended by a null byte.
#[repr(transparent)]
pub(super) struct Text(*const c_char);

/// A value to read.
#[repr(transparent)]
pub(super) struct In<T>(*const T);

impl<T> Out<T> {
    pub(super) fn is_null(&self) -> bool {
        self.0.is_null()
    }

    /// Writes one value.
    pub(super) fn set(&self, value: T) -> Answer {
        self.fill([value])
    }

    /// Writes several values, one after another. The caller sized the array, as nvml.h asks of it.
    pub(super) fn fill(&self, values: impl IntoIterator<Item = T>) -> Answer {
        if self.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        for (at, value) in values.into_iter().enumerate() {
            // SAFETY: not null, so by the module's contract valid for as many values as the call writes;
            // `write_unaligned` asks for no alignment and drops nothing.
            unsafe { self.0.add(at).write_unaligned(value) };
        }
        Ok(())
    }

    /// Answers a list that may be asked for its length first, with a null array. A count of 0 next to an
    /// array is taken as "not said": drivers before 12 did not read it (go-nvml notes the change).
    pub(super) fn list(&self, values: Vec<T>, count: &Out<u32>) -> Answer {
        let room = count.get()?;
        count.set(values.len() as u32)?;
        if self.is_null() {
            return Ok(());
        }
        if room != 0 && (room as usize) < values.len() {
            return Err(Code::INSUFFICIENT_SIZE);
        }
        self.fill(values)
    }
}

impl<T: Copy> Out<T> {
    /// Reads what the caller put there: an array's size, a struct's version.
    pub(super) fn get(&self) -> Answer<T> {
        read(self.0)
    }

    /// Reads the value at a position of an array whose size the caller gave.
    pub(super) fn get_at(&self, at: usize) -> Answer<T> {
        if self.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        read(self.0.wrapping_add(at))
    }

    /// Writes the value at a position of an array whose size the caller gave.
    pub(super) fn set_at(&self, at: usize, value: T) -> Answer {
        if self.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        Out(self.0.wrapping_add(at)).set(value)
    }

    /// The same place as one for another type: a struct of another version.
    pub(super) fn cast<U>(&self) -> Out<U> {
        Out(self.0.cast())
    }
}

impl Out<c_char> {
    /// Writes a text with its null byte into a buffer of `length` bytes.
    pub(super) fn set_text(&self, length: u32, text: &str) -> Answer {
        if !self.is_null() && text.len() >= length as usize {
            return Err(Code::INSUFFICIENT_SIZE);
        }
        self.fill(text.bytes().chain([0]).map(|byte| byte as c_char))
    }
}

impl<T: Copy> In<T> {
    pub(super) fn get(&self) -> Answer<T> {
        read(self.0)
    }
}

impl Text {
    /// The text; one that is not UTF-8 names nothing here.
    pub(super) fn get(&self) -> Answer<&str> {
        if self.0.is_null() {
            return Err(Code::INVALID_ARGUMENT);
        }
        // SAFETY: not null, so by the module's contract a text with its null byte that outlives the call.
        let text = unsafe { CStr::from_ptr(self.0) };
        text.to_str().map_err(|_| Code::INVALID_ARGUMENT)
    }
}

fn read<T: Copy>(pointer: *const T) -> Answer<T> {
    if pointer.is_null() {
        return Err(Code::INVALID_ARGUMENT);
    }
    // SAFETY: not null, so by the module's contract valid for reads; `read_unaligned` asks for no
    // alignment. The types read are C structs and integers the caller filled.
    Ok(unsafe { pointer.read_unaligned() })
}
