//! Makes one text of the version and of the commit that a release is built from.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=GRESGEN_GIT_ID");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    // It goes into files of lines and words.
    let id = std::env::var("GRESGEN_GIT_ID")
        .ok()
        .filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
    match id {
        Some(id) => println!("cargo::rustc-env=GRESGEN_VERSION={version} ({id})"),
        None => println!("cargo::rustc-env=GRESGEN_VERSION={version}"),
    }
}
