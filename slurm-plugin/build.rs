//! How the plugin is linked, so that loading it costs little (docs/benchmarks.md): srun and slurmstepd do it for every
//! step, and each page they touch for the first time costs them more than what the plugin does there.
//!
//! * The unwinder is linked in instead of libgcc_s, where the compiler has it as an archive: in srun, where nothing else
//!   needs that library, the search for it took most of the time. Unwinding stays inside the plugin: every hook catches
//!   its panics.
//! * Once loaded it stays (`-z nodelete`). Slurm opens a plugin that is named without a path, closes it, and opens it
//!   again (`_spank_plugin_find`, src/common/spank.c); the second time is then no more than a look-up.
//! * GNU ld makes two segments of it, with code and constants in one (`-z noseparate-code`), where lld makes four.
//! * The few symbols that are called through the PLT are bound when they are called (`-z lazy`), as in Slurm's own
//!   plugins (slurm.spec: "-z,now or -z,relro breaks the plugin stack"). All else that the loader fills in is read-only
//!   afterwards (RELRO).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete,-z,lazy,-z,noseparate-code");
    if tell(&["-fuse-ld=bfd", "-Wl,--version"]).starts_with("GNU ld") {
        println!("cargo::rustc-cdylib-link-arg=-fuse-ld=bfd");
    }
    println!("cargo::rerun-if-env-changed=SPANK_MIG_UNWINDER");
    // libgcc_eh.a of a compiler on glibc 2.35 and later calls _dl_find_object, which older ones lack.
    if env::var_os("SPANK_MIG_UNWINDER").is_some_and(|unwinder| unwinder == "shared") {
        return;
    }
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else { return };
    if !Path::new(&tell(&["-print-file-name=libgcc_eh.a"])).is_absolute() {
        return; // rustc links libgcc_s then, and everything works as well
    }
    // rustc asks for -lgcc_s; the linker finds this script first (ld: "implicit linker scripts").
    let script = out.join("libgcc_s.so");
    match fs::write(&script, "GROUP ( libgcc_eh.a libgcc.a )\n") {
        Ok(()) => println!("cargo::rustc-link-search=native={}", out.display()),
        Err(error) => println!("cargo::warning={}: {error}", script.display()),
    }
}

/// What the C compiler, which links for rustc, says to `arguments`; nothing where it fails.
fn tell(arguments: &[&str]) -> String {
    let output = Command::new("cc").args(arguments).output().ok().filter(|output| output.status.success());
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
