//! How the plugin is linked, so that loading it costs little (docs/benchmarks.md): srun and slurmstepd do it for every
//! step.
//!
//! * The unwinder is linked in instead of libgcc_s, where the compiler has it as an archive: in srun, where nothing else
//!   needs that library, the search for it took most of the time. Unwinding stays inside the plugin: every hook catches
//!   its panics.
//! * Once loaded it stays (`-z nodelete`). Slurm opens a plugin that is named without a path, closes it, and opens it
//!   again (`_spank_plugin_find`, src/common/spank.c); the second time is then no more than a look-up.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else { return };
    if !has_archive("libgcc_eh.a") {
        return; // rustc links libgcc_s then, and everything works as well
    }
    // rustc asks for -lgcc_s; the linker finds this script first (ld: "implicit linker scripts").
    let script = out.join("libgcc_s.so");
    match fs::write(&script, "GROUP ( libgcc_eh.a libgcc.a )\n") {
        Ok(()) => println!("cargo::rustc-link-search=native={}", out.display()),
        Err(error) => println!("cargo::warning={}: {error}", script.display()),
    }
}

/// Whether the C compiler, which links for rustc, has a library of that name: it prints a path then, and the bare
/// name otherwise.
fn has_archive(name: &str) -> bool {
    let output = Command::new("cc").arg(format!("-print-file-name={name}")).output();
    output.is_ok_and(|o| Path::new(String::from_utf8_lossy(&o.stdout).trim()).is_absolute())
}
