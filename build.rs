//! Binds to the installed `slurm/spank.h` and checks that its ABI is the one this crate was written for.

use std::env;
use std::panic;
use std::path::{Path, PathBuf};

use bindgen::callbacks::{EnumVariantCustomBehavior, EnumVariantValue, ParseCallbacks};

/// Where packages and `make install` put Slurm's headers.
const INCLUDE_DIRS: [&str; 3] = ["/usr/include", "/usr/local/include", "/opt/slurm/include"];
const GUARD: &str = "spank/abi_guard.c";

fn main() {
    for input in ["build.rs", GUARD] {
        println!("cargo::rerun-if-changed={input}");
    }
    for input in ["SLURM_INCLUDE_DIR", "SPANK_MIG_MAX_API"] {
        println!("cargo::rerun-if-env-changed={input}");
    }
    if let Err(what) = build() {
        println!("cargo::error={what}");
    }
}

fn build() -> Result<(), String> {
    let include = include_dir()?;
    bind(&include)?;
    guard(&include)
}

fn include_dir() -> Result<PathBuf, String> {
    let has_header = |dir: &Path| dir.join("slurm/spank.h").is_file();
    match env::var_os("SLURM_INCLUDE_DIR").map(PathBuf::from) {
        Some(dir) if has_header(&dir) => Ok(dir),
        Some(dir) => Err(format!("SLURM_INCLUDE_DIR={} has no slurm/spank.h", dir.display())),
        None => INCLUDE_DIRS.iter().map(PathBuf::from).find(|dir| has_header(dir)).ok_or_else(|| {
            "slurm/spank.h is not installed: install libslurm-dev (Debian, Ubuntu) or slurm-devel (RHEL), or set SLURM_INCLUDE_DIR".to_owned()
        }),
    }
}

fn bind(include: &Path) -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?).join("bindings.rs");
    let builder = bindgen::Builder::default()
        .header_contents("slurm-spank.h", "#include <slurm/slurm.h>\n#include <slurm/spank.h>\n")
        .clang_arg(format!("-I{}", include.display()))
        .allowlist_file(r".*/slurm/spank\.h")
        .allowlist_function("slurm_api_version")
        .allowlist_var("SLURM_(VERSION_NUMBER|BATCH_SCRIPT|EXTERN_CONT|INTERACTIVE_STEP)|ESPANK_SUCCESS")
        // The hooks and the option table are for the plugin to define, not for it to call.
        .blocklist_item("slurm_spank_(job|init|local|user|task|slurmd|exit).*|spank_options")
        .default_enum_style(bindgen::EnumVariation::Consts)
        .prepend_enum_name(false)
        .parse_callbacks(Box::new(SpankErrorsOnly))
        .use_core()
        .layout_tests(false);
    let bindings = quietly(|| builder.generate())
        .ok_or("libclang is not installed: install libclang-dev (Debian, Ubuntu) or clang-devel (RHEL), which bindgen needs")?
        .map_err(|error| {
            let error = one_line(&error.to_string());
            format!("slurm/spank.h in {} (libclang-dev brings clang's own headers): {error}", include.display())
        })?;
    bindings.write_to_file(&out).map_err(|error| format!("{}: {error}", out.display()))
}

/// Runs `work`, which panics where libclang cannot be loaded, without the panic's backtrace.
fn quietly<T>(work: impl FnOnce() -> T) -> Option<T> {
    panic::set_hook(Box::new(|_| {}));
    let result = panic::catch_unwind(panic::AssertUnwindSafe(work));
    let _ = panic::take_hook();
    result.ok()
}

/// Compiles the assertions about values and layouts; nothing of the object is linked.
fn guard(include: &Path) -> Result<(), String> {
    cc::Build::new().file(GUARD).include(include).cargo_metadata(false).try_compile("abi_guard").map_err(
        |error| format!("{GUARD} does not hold for {}: {}", include.display(), one_line(&error.to_string())),
    )
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Keeps the `ESPANK_*` codes of `slurm_err_t` and drops its other 250.
#[derive(Debug)]
struct SpankErrorsOnly;

impl ParseCallbacks for SpankErrorsOnly {
    fn enum_variant_behavior(
        &self,
        name: Option<&str>,
        variant: &str,
        _: EnumVariantValue,
    ) -> Option<EnumVariantCustomBehavior> {
        let noise = name.is_some_and(|n| n.contains("slurm_err")) && !variant.starts_with("ESPANK_");
        noise.then_some(EnumVariantCustomBehavior::Hide)
    }
}
