//! A node whose name, or whose slurm.conf, is not where one looks first.

use lab::{Release, User};

use crate::node::Node;

#[test]
fn a_node_of_another_name_is_found_by_its_host() {
    for release in Release::selected() {
        let Some(node) = Node::fresh(release) else { return };
        let script = "\
            printf '%s\\n' 'include /etc/slurm/gresgen-node.conf' >/etc/slurm/new
            grep -v include /etc/slurm/slurm.conf >/etc/slurm/rest; cat /etc/slurm/rest >/etc/slurm/slurm.conf
            echo 'NodeName=queue1-st-gpu-1 NodeHostname=n1 NodeAddr=10.0.0.1 Port=6818 CPUs=32 RealMemory=4000 Gres=gpu:a100:2' \
                >>/etc/slurm/slurm.conf
            echo 'NodeName=queue1-st-gpu-1 Name=gpu Type=a100 File=/dev/nvidia[0-1]' >/etc/slurm/gres.conf
            printf 'CgroupPlugin=cgroup/v1\\nConstrainDevices=no\\n' >/etc/slurm/cgroup.conf
            sed -i 's/names: n1/names: \"queue1-st-gpu-[1-4]\"/' /etc/gresgen/config.yaml
            slurmctld; slurmd -N queue1-st-gpu-1";
        node.lab.run(&["sh", "-ec", script]).unwrap();
        let submit = ["-w", "queue1-st-gpu-1", "--gres=gpu:a100:1"];
        node.lab
            .wait("the node to register", || {
                Ok(node.lab.node_state("queue1-st-gpu-1")?.starts_with("IDLE").then_some(()))
            })
            .unwrap();
        let job = node.lab.sbatch(User::Alice, &submit, "touch /var/lab/out/runs; exec sleep 600").unwrap();
        node.lab
            .wait("the job to run", || {
                Ok(node.lab.command(&["test", "-e", "/var/lab/out/runs"]).output()?.success().then_some(()))
            })
            .unwrap();
        let before = node.gpus();
        let status = node.gresgen(&["status", "-v"]).must_be(0).stdout;
        assert!(status.starts_with("queue1-st-gpu-1: "), "{status}");
        let holder = format!("Slurm job {job} (user alice)");
        assert!(status.contains(&holder), "{status}");
        node.gresgen(&["apply", "--adopt"]).must_be(4).must_say(&[&holder]);
        assert_eq!(node.gpus(), before, "{release}");
        // A name that is nobody's, with this host known by another: nothing is believed idle.
        node.lab.run(&["sed", "-i", "s/^  nodes:/  node: n9\\n&/", "/etc/gresgen/config.yaml"]).unwrap();
        let refused = node.gresgen(&["apply", "--adopt"]);
        assert!([2, 4].contains(&refused.code), "{}{}", refused.stdout, refused.stderr);
        assert_eq!(node.gpus(), before, "{release}");
    }
}

#[test]
fn a_slurm_conf_elsewhere_is_that_of_the_daemon_that_runs() {
    for release in Release::selected() {
        let Some(node) = Node::in_service(release) else { return };
        let job = node.waiting("1g.5gb");
        let before = node.picture();
        let holder = format!("Slurm job {} (user alice)", job.0);
        let stop = "for f in slurmd-n1 slurmd-n2 slurmctld; do k=$(cat /run/$f.pid); kill $k; \
                    while kill -0 $k 2>/dev/null; do sleep 0.05; done; done; ";
        let moved = "mkdir -p /srv/site && cp -a /etc/slurm/. /srv/site/ && \
                     sed -i s,/etc/slurm/gresgen,/srv/site/gresgen, /srv/site/slurm.conf && mv /etc/slurm/slurm.conf /tmp/; \
                     export SLURM_CONF=/srv/site/slurm.conf; slurmctld; ";
        // The daemon says where: on its command line, or in its environment.
        for (how, start) in [
            ("by -f", "env -u SLURM_CONF slurmd -N n1 -f /srv/site/slurm.conf"),
            ("by SLURM_CONF", "slurmd -N n1"),
        ] {
            node.lab.run(&["sh", "-c", &format!("{stop}{moved}{start}")]).unwrap();
            let status = || node.gresgen(&["status", "-v"]).must_be(0).stdout;
            node.lab
                .wait("the job to be known again", || Ok(status().contains(&holder).then_some(())))
                .unwrap();
            let refused = node.gresgen(&["--layout", "without-1g", "apply"]);
            assert!(refused.code == 4 && refused.stderr.contains(&holder), "{release}, {how}: {refused:?}");
        }
        // It says nothing, and nobody else does.
        let lost =
            format!("{stop}{moved}env -u SLURM_CONF slurmd -N n1 -f /srv/site/slurm.conf; rm -r /srv/site");
        node.lab.run(&["sh", "-c", &lost]).unwrap();
        node.gresgen(&["--layout", "without-1g", "apply"]).must_be(2).must_say(&[
            "slurm",
            " (process ",
            "set SLURM_CONF",
        ]);
        assert_eq!(node.picture()[3..], before[3..], "{release}");
        node.go();
    }
}
