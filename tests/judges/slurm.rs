//! Slurm's own NVML plugin lists what the simulator holds.

use std::fs;
use std::path::Path;

use nvml_sim::Store;
use nvml_sim::clients::Clients;
use nvml_sim::code::Answer;
use nvml_sim::machine::{Machine, MigDevice};

use crate::fetched::{debian, must, skipped};
use crate::{Bench, scripts};

/// Makes three layouts, one of them with a GPU instance in parts.
fn cut(bench: &Bench) -> Machine {
    let layouts: [&[(u32, &[u32])]; 3] = [
        &[(9, &[2]), (14, &[1]), (19, &[0])],
        &[(19, &[0]), (19, &[0]), (9, &[0, 1])],
        &[(15, &[7]), (5, &[3])],
    ];
    let store = Store::open(&bench.root(), Some(&bench.spec.parse().unwrap())).unwrap();
    for (gpu, layout) in (0..).zip(layouts) {
        let change = |f: &mut dyn FnMut(&mut Machine, &Clients) -> Answer<u32>| {
            store.change(|s| f(std::sync::Arc::make_mut(&mut s.machine), &s.clients)).unwrap().unwrap()
        };
        change(&mut |m, clients| m.set_mode(gpu, true, clients)?.map(|()| 0));
        for &(profile, parts) in layout {
            let instance = change(&mut |m, clients| m.create_instance(gpu, profile, None, clients));
            for &part in parts {
                change(&mut |m, _| m.create_compute(gpu, instance, part, None));
            }
        }
    }
    store.read().unwrap().machine.as_ref().clone()
}

/// Where the distribution's own Slurm plugins are, and below `tree` the fetched one.
fn plugin_directories(tree: &Path) -> String {
    let multiarch = ["/usr/lib/x86_64-linux-gnu/slurm-wlm", "/usr/lib/aarch64-linux-gnu/slurm-wlm"];
    let own = multiarch.into_iter().find(|d| Path::new(d).is_dir());
    let own = own.expect("Slurm's plugins are not installed: install slurmd");
    format!("{own}:{}", tree.join(own.trim_start_matches('/')).display())
}

/// The type that Slurm makes of a MIG device's profile, as the end of its name.
fn gres_type(device: &MigDevice<'_>) -> String {
    format!("_{}", device.profile_name().rsplit_once("c.").map_or(device.profile_name().as_str(), |p| p.1))
}

/// Device files of a MIG device, by the driver's published formula for capability minors.
fn files(device: &MigDevice<'_>) -> String {
    let (gpu, gi, ci) = (device.gpu.minor, device.instance.id, device.compute.id);
    let access = 3 + gpu * 135 + gi * 9;
    let caps = "/dev/nvidia-caps/nvidia-cap";
    format!("/dev/nvidia{gpu},{caps}{access},{caps}{}", access + 1 + ci)
}

#[test]
fn slurms_own_nvml_plugin_lists_the_mig_devices() {
    if skipped() {
        return;
    }
    assert!(rustix::process::geteuid().is_root(), "run this as root: it needs a mount namespace");
    let bench = Bench::new("a100-40gb:2:shuffled,h100-80gb-sxm:1:mirrored");
    let machine = cut(&bench);
    let devices: Vec<MigDevice<'_>> = machine.gpus.iter().flat_map(|g| g.mig_devices()).collect();

    let conf = bench.directory.path().join("slurm");
    fs::create_dir(&conf).unwrap();
    let gres: Vec<String> = devices.iter().map(|d| format!("gpu:{}:1", gres_type(d))).collect();
    let lines = [
        "ClusterName=judge".to_owned(),
        "SlurmctldHost=localhost".to_owned(),
        "AuthType=auth/none".to_owned(),
        "CredType=cred/none".to_owned(),
        "ProctrackType=proctrack/linuxproc".to_owned(),
        "GresTypes=gpu".to_owned(),
        format!("PluginDir={}", plugin_directories(&debian("bookworm", &["slurm-wlm-nvml-plugin"]))),
        format!("NodeName=judge CPUs=1 Gres={}", gres.join(",")),
        "PartitionName=judge Nodes=ALL".to_owned(),
    ];
    fs::write(conf.join("slurm.conf"), lines.join("\n") + "\n").unwrap();
    fs::write(conf.join("gres.conf"), "AutoDetect=nvml\n").unwrap();

    let mut slurmd = bench.command("unshare");
    slurmd.args(["--mount", "sh"]).arg(scripts().join("slurmd.sh")).arg(&conf);
    let said = must(&mut slurmd, "install slurmd and util-linux, and run this as root");
    let listed: Vec<&str> = said.lines().filter(|l| l.contains("Gres Name=gpu")).collect();
    assert_eq!(listed.len(), devices.len(), "{said}");
    for device in &devices {
        let of_device =
            |l: &&&str| l.split_whitespace().any(|field| field == format!("File={}", files(device)));
        let line =
            listed.iter().find(of_device).unwrap_or_else(|| panic!("{}: not in\n{said}", files(device)));
        let wanted = format!("Type={} ", gres_type(device));
        assert!(line.contains(&wanted), "{wanted} not in {line}");
    }
}
