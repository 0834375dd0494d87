//! Links the unwinder into the plugin instead of libgcc_s, where the compiler has it as an archive.
//!
//! srun and slurmstepd load the plugin for every step, and in srun the search for libgcc_s, which nothing else there
//! needs, took most of the time of loading it (docs/benchmarks.md). Unwinding stays inside the plugin: every hook
//! catches its panics.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
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
