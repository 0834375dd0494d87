//! Changes beside running jobs.

use lab::Release;

use crate::node::Node;

#[test]
fn what_would_hurt_a_running_job_is_refused() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let job = node.waiting("1g.5gb");
        let id = job.0.to_string();
        let before = node.picture();
        let status = node.gresgen(&["status", "-v"]).must_be(0);
        assert!(status.stdout.contains(&format!("Slurm job {id} (user alice)")), "{}", status.stdout);

        // Its slice would go.
        node.gresgen(&["--layout", "without-1g", "apply"]).must_be(4).must_say(&[&id, "alice"]);
        // Its slice would stay, but Slurm ends every GPU job of a node whose number of devices changes.
        node.gresgen(&["--layout", "more", "apply"]).must_be(4).must_say(&[&id, "6"]);
        assert_eq!(node.picture(), before, "{release}");

        // Who holds what cannot be asked.
        node.lab.run(&["systemctl", "stop", "slurmctld"]).unwrap();
        node.gresgen(&["--layout", "elsewhere", "apply"]).must_be(4).must_say(&["--offline"]);
        assert_eq!(node.picture(), before, "{release}");
        // Nothing is asked where nothing would change.
        node.gresgen(&["apply"]).must_be(0);
        node.lab.run(&["systemctl", "start", "slurmctld"]).unwrap();
        node.lab.wait_nodes().unwrap();

        // As many devices, and each of the job's keeps its index.
        let answer = node.gresgen(&["--layout", "elsewhere", "apply"]).must_be(6);
        let held = node.devices()[&0].clone();
        node.carry_out(&answer);
        node.go();
        let reports = node.reports(job);
        assert_eq!(reports[0], reports[1], "{release}: the next step is on another slice");
        assert_eq!(reports[0].uuid, held.uuid);
        for kind in ["1g.5gb", "2g.10gb", "3g.20gb", "4g.20gb"] {
            assert_eq!(node.job(kind).kind, kind, "{release}");
        }
    }
}

/// The field `device` of a compute instance's info is the parent GPU in nvml.h and on real boards; a library in which it
/// is the MIG device must do as well.
#[test]
fn a_job_holds_its_slice_whichever_device_the_library_gives() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        for (form, layout) in [("mig", "elsewhere"), ("parent", "day")] {
            let form = format!("NVML_SIM_CI_DEVICE={form}");
            let apply = node.lab.command(&["env", &form, "gresgen", "--layout", layout, "apply"]);
            let lab::Output { code, stdout, stderr } = apply.output().unwrap();
            let answer = crate::node::Answer { code, stdout, stderr }.must_be(6);
            node.carry_out(&answer);
            let devices = node.devices();
            assert!(devices.values().all(|device| device.uuid.starts_with("MIG-")), "{form}: {devices:?}");
            for device in devices.values() {
                assert_eq!(node.job(&device.kind).kind, device.kind, "{release} {form}");
            }
        }
    }
}

#[test]
fn offline_is_the_admins_word_that_no_job_runs() {
    let Some(node) = Node::in_service(Release::Bookworm) else { return };
    let job = node.waiting("1g.5gb");
    node.lab.run(&["systemctl", "stop", "slurmctld"]).unwrap();
    let answer = node.gresgen(&["--layout", "more", "apply", "--offline"]).must_be(0);
    assert!(answer.stdout.contains("wrote /etc/slurm/gres.conf"), "{}", answer.stdout);
    assert_eq!(node.devices().len(), 6);
    node.lab.run(&["systemctl", "start", "slurmctld"]).unwrap();
    node.lab.run(&["scancel", &job.0.to_string()]).unwrap();
}
