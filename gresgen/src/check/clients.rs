//! Who is known to hold GPUs so that they cannot be partitioned.

use super::{Facts, Link};

/// Commands that open GPUs and stay, with what lets go of them.
pub(super) const COMMANDS: [(&str, &str); 5] = [
    (
        "nvidia-persiste",
        "a change of MIG mode stops its service meanwhile (hooks: services); another one: end it",
    ),
    (
        "nv-hostengine",
        "a change stops nvidia-dcgm meanwhile (hooks: services): it holds GPU instances it has seen",
    ),
    ("dcgm-exporter", "a change stops its service meanwhile (hooks: services); one in a container: end it"),
    ("nvidia-smi", "end it: a looping nvidia-smi is a client"),
    ("Xorg", "end it: a display keeps MIG mode from changing"),
];

/// What to do about a process of another name.
pub(super) const OTHER: &str =
    "a process that has a GPU open may keep its MIG mode from changing: end it before";

/// The kernel module for displays.
pub(super) const DRM: (&str, &str) = (
    "kernel module nvidia_drm with modeset",
    "unload it around a change of MIG mode (modprobe -r nvidia_drm)",
);

/// slurmd and srun look for OpenCL devices through hwloc where its plugin is installed.
pub(super) const OPENCL: (&str, &str) = (
    "hwloc's OpenCL plugin in slurmd",
    "HWLOC_COMPONENTS=-opencl in the environment of slurmd (Slurm FAQ): it holds GPUs open",
);

pub(super) fn judge(facts: &Facts, links: &mut Vec<Link>) {
    if !facts.stopped.is_empty() {
        let what = format!("{} stand still since a change that was cut off", facts.stopped.join(", "));
        links.push(Link::warn("services", what, "gresgen apply starts them again"));
    }
    const NAME: &str = "clients";
    let Some(clients) = &facts.clients else { return };
    if clients.is_empty() {
        links.push(Link::pass(NAME, "none that blocks repartitioning"));
        return;
    }
    // All of them: whoever changes a GPU has to end each.
    let names: Vec<&str> = clients.iter().map(|(name, _)| name.as_str()).collect();
    let mut fixes: Vec<&str> = clients.iter().map(|(_, fix)| *fix).collect();
    fixes.dedup();
    links.push(Link::warn(NAME, format!("may block repartitioning: {}", names.join(", ")), fixes.join("; ")));
}
