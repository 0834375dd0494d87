//! What is refused, in NVIDIA's words and with its exit codes, which are NVML's return codes.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::smi::{Smi, each};

/// Commands in order, with the exit code and the first line that is printed.
type Refusals = [(&'static str, i32, &'static str)];

fn assert_refused(smi: &Smi, refusals: &Refusals) {
    for (line, code, said) in refusals {
        let run = smi.run(line);
        let first = run.stdout.lines().chain(run.stderr.lines()).next().unwrap_or_default();
        assert_eq!((run.code, first), (*code, *said), "nvidia-smi {} {line}", smi.release);
    }
}

/// Seen in published logs: codes 6, 19 and 23, with these texts.
#[test]
fn what_does_not_fit_or_is_not_there_is_refused() {
    for smi in each("h100-80gb-sxm:2") {
        smi.ok("-i 0 -mig 1");
        assert_refused(
            &smi,
            &[
                ("mig -lgi", 6, "No GPU instances found: Not Found"),
                ("mig -lci", 6, "No GPU instances found: Not Found"),
                ("mig -dgi", 6, "No GPU instances found: Not Found"),
                (
                    "mig -cgi 99",
                    2,
                    "Unable to create a GPU instance on GPU  0 using profile 99: Invalid Argument",
                ),
                (
                    "mig -cgi 9:3",
                    2,
                    "Unable to create a GPU instance on GPU  0 using profile 9:3: Invalid Argument",
                ),
            ],
        );
        smi.ok("mig -cgi 9:4");
        assert_refused(
            &smi,
            &[
                (
                    "mig -cgi 9:4",
                    23,
                    "Unable to create a GPU instance on GPU  0 using profile 9:4: Insufficient Resources",
                ),
                (
                    "mig -cgi 0",
                    23,
                    "Unable to create a GPU instance on GPU  0 using profile 0: Insufficient Resources",
                ),
                ("mig -lci", 6, "No compute instances found: Not Found"),
                ("mig -dci", 6, "No compute instances found: Not Found"),
                ("mig -dgi -gi 5", 6, "No GPU instances found: Not Found"),
            ],
        );
        smi.ok("mig -gi 2 -cci 1");
        assert_refused(
            &smi,
            &[
                (
                    "mig -gi 2 -cci 2",
                    23,
                    "Unable to create a compute instance on GPU  0 GPU instance ID  2 using profile 2: Insufficient \
                     Resources",
                ),
                (
                    "mig -dgi",
                    19,
                    "Unable to destroy GPU instance ID  2 from GPU  0: In use by another client",
                ),
                // A warning, and no error to nvidia-smi.
                (
                    "-i 0 -mig 0",
                    0,
                    "Warning: MIG mode is in pending disable state for GPU 00000000:03:00.0:In use by another client",
                ),
                ("-i 7 -mig 1", 6, "No devices were found"),
            ],
        );
    }
}

#[test]
fn an_instance_that_a_process_uses_is_not_destroyed() {
    for smi in each("a100-40gb") {
        smi.ok("-i 0 -mig 1");
        smi.ok("mig -cgi 9 -C");
        smi.node.occupy(&smi.node.uuids()[0], std::process::id());
        assert_refused(
            &smi,
            &[(
                "mig -dci",
                19,
                "Unable to destroy compute instance ID  0 from GPU  0 GPU instance ID  2: In use by another client",
            )],
        );
    }
}

#[test]
fn only_root_changes_gpus() {
    for smi in each("a100-40gb") {
        smi.ok("-i 0 -mig 1");
        // The directory is its owner's alone; what is in it, the simulator's state too, is for all to read.
        std::fs::set_permissions(smi.node.path(""), std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        let run = smi.finish(nobody.arg(&smi.program), "mig -cgi 19");
        let said = "Unable to create a GPU instance on GPU  0 using profile 19: Insufficient Permissions\n\
                    Failed to create GPU instances: Insufficient Permissions\n";
        assert_eq!((run.code, run.stdout.as_str()), (4, said), "{}", smi.release);
    }
}

/// On Ampere a GPU that somebody holds switches at the next reset.
#[test]
fn a_mode_that_waits_for_a_reset_is_shown_as_pending() {
    for smi in each("a100-40gb:1:held") {
        let said = smi.ok("-i 0 -mig 1");
        let warning = "Warning: MIG mode is in pending enable state for GPU 00000000:03:00.0:In use by another client\n";
        assert!(said.starts_with(warning), "{said}");
        let mode = "--query-gpu=mig.mode.current,mig.mode.pending --format=csv,noheader";
        assert_eq!(smi.ok(mode), "Disabled, Enabled\n");
    }
}
