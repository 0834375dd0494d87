//! Methods for functions of one shape each. The bindings give every type, so a function that is asked with other
//! arguments than nvml.h says does not compile.

/// A function of the library, if it has it.
macro_rules! function {
    ($client:expr, $name:ident) => {
        *$client.lib.$name.as_ref().map_err(|_| Code::FUNCTION_NOT_FOUND)?
    };
}

/// Methods for functions of one shape; the bindings give every type.
macro_rules! calls {
    // A handle, perhaps a number, and one value to fill.
    (one $($(#[$doc:meta])* $method:ident($handle:ident $(, $number:ident)?) -> $out:ty = $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("\n\n# Errors\nNVML's code of `", stringify!($name), "`.")]
            pub fn $method(&self, of: $handle $(, $number: u32)?) -> Answer<$out> {
                let mut out = <$out>::zeroed();
                // SAFETY: the function is the library's of that name, so it has the bound type; `out` is
                // valid for one value, and handles are such as the same library gave.
                Code::of(unsafe { function!(self, $name)(of.0 $(, $number)?, &raw mut out) })?;
                Ok(out)
            }
        )*
    };
    // A handle, and two values to fill.
    (two $($(#[$doc:meta])* $method:ident -> $out:ty = $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("\n\n# Errors\nNVML's code of `", stringify!($name), "`.")]
            pub fn $method(&self, of: DeviceHandle) -> Answer<[$out; 2]> {
                let [mut first, mut second] = [<$out>::zeroed(), <$out>::zeroed()];
                // SAFETY: as above.
                Code::of(unsafe { function!(self, $name)(of.0, &raw mut first, &raw mut second) })?;
                Ok([first, second])
            }
        )*
    };
    // A handle, and a text of at most that many bytes.
    (text $($(#[$doc:meta])* $method:ident = $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("\n\n# Errors\nNVML's code of `", stringify!($name), "`.")]
            pub fn $method(&self, of: DeviceHandle, room: u32) -> Answer<String> {
                let mut buffer = vec![0; room as usize];
                // SAFETY: as above; the buffer has the length that is said.
                Code::of(unsafe { function!(self, $name)(of.0, buffer.as_mut_ptr(), room) })?;
                Ok(text(&buffer))
            }
        )*
    };
    // A text of the whole system.
    (system $($(#[$doc:meta])* $method:ident = $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("\n\n# Errors\nNVML's code of `", stringify!($name), "`.")]
            pub fn $method(&self) -> Answer<String> {
                let mut buffer = vec![0; 96];
                // SAFETY: as above.
                Code::of(unsafe { function!(self, $name)(buffer.as_mut_ptr(), buffer.len() as c_uint) })?;
                Ok(text(&buffer))
            }
        )*
    };
    // A handle and a list that is asked for its length first: its count, its length, and what the second call fills.
    (list $($(#[$doc:meta])* $method:ident($handle:ident) -> $item:ty = $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("\n\n# Errors\nNVML's code of `", stringify!($name), "`.")]
            pub fn $method(&self, of: $handle, id: u32) -> Answer<Vec<$item>> {
                let function = function!(self, $name);
                let mut count: c_uint = 0;
                // SAFETY: as above; a null array asks for the length alone.
                Code::of(unsafe { function(of.0, id, null_mut(), &raw mut count) })?;
                let mut list = vec![<$item>::default(); count as usize];
                // SAFETY: as above; the array has the length that is said.
                Code::of(unsafe { function(of.0, id, list.as_mut_ptr().cast(), &raw mut count) })?;
                list.truncate(count as usize);
                Ok(list)
            }
        )*
    };
    // A handle, a profile id, and an array that the caller sizes by the profile's maximum.
    (sized $($(#[$doc:meta])* $method:ident($handle:ident) -> $item:ident($raw:ty) = $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("\n\n# Errors\nNVML's code of `", stringify!($name), "`.")]
            pub fn $method(&self, of: $handle, id: u32) -> Answer<Vec<$item>> {
                let mut array: [$raw; INSTANCES] = [null_mut(); INSTANCES];
                let mut count: c_uint = 0;
                // SAFETY: as above; no GPU has more instances than the array has places.
                Code::of(unsafe { function!(self, $name)(of.0, id, array.as_mut_ptr(), &raw mut count) })?;
                Ok(array.into_iter().take(count as usize).map($item).collect())
            }
        )*
    };
    // A handle, and processes.
    (processes $($(#[$doc:meta])* $method:ident = $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[doc = concat!("\n\n# Errors\nNVML's code of `", stringify!($name), "`.")]
            pub fn $method(&self, of: DeviceHandle) -> Answer<Vec<u32>> {
                let mut list = [const { std::mem::MaybeUninit::<nvmlProcessInfo_t>::zeroed() }; PROCESSES];
                let mut count = PROCESSES as c_uint;
                // SAFETY: as above; the array has the length that is said.
                Code::of(unsafe {
                    function!(self, $name)(of.0, &raw mut count, list.as_mut_ptr().cast())
                })?;
                // SAFETY: zeroed and then filled by NVML: a struct of integers either way.
                Ok(list.iter().take(count as usize).map(|p| unsafe { p.assume_init_ref() }.pid).collect())
            }
        )*
    };
}

pub(super) use {calls, function};
