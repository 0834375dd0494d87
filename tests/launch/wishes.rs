//! What admins and users can ask of the plugin, inside real daemons.

use lab::{Lab, Output, Probe, Release, User};

use crate::fixture::{Layout, assert_healthy, on_each_release, options};

fn start(release: Release, arguments: &str) -> Option<(Layout, Lab)> {
    let n1 = Layout::n1();
    let lab = lab::require(Lab::start(release, options(&[&n1], arguments)))?;
    Some((n1, lab))
}

fn srun(lab: &Lab, arguments: &[&str]) -> Output {
    let output =
        lab.command(&[&["srun"], arguments, &["lab-probe"]].concat()).user(User::Alice).output().unwrap();
    assert!(output.success(), "{arguments:?}: {output:?}");
    output
}

fn cuda(output: &Output) -> Vec<Option<String>> {
    output.probes().into_iter().map(|probe: Probe| probe.cuda).collect()
}

fn notices(output: &Output) -> usize {
    output.stderr.matches("[mig]").count()
}

#[test]
fn the_options_are_in_the_help_of_every_command() {
    on_each_release(|release| {
        let Some((_, lab)) = start(release, "") else { return };
        for command in ["srun", "sbatch", "salloc"] {
            let help = lab.run(&[command, "--help"]).unwrap().stdout;
            for option in ["--mig-devices=", "--mig-per-task="] {
                assert!(help.contains(option), "{command}: {help}");
            }
            assert!(help.contains("[mig]"), "{command}: {help}");
        }
        let refused = lab.command(&["srun", "--mig-devices=uid", "true"]).output().unwrap();
        assert!(!refused.success() && refused.stderr.contains("uuid, index or none"), "{refused:?}");
    });
}

#[test]
fn users_choose_what_names_their_devices() {
    on_each_release(|release| {
        let Some((n1, lab)) = start(release, "notices=off") else { return };
        let two = "--gres=gpu:3g.20gb:2";
        let uuids = [Some(n1.uuids(&[4, 5]).join(","))];
        assert_eq!(cuda(&srun(&lab, &[two])), uuids);
        assert_eq!(cuda(&srun(&lab, &[two, "--mig-devices=uuid"])), uuids);
        assert_eq!(
            cuda(&srun(&lab, &[two, "--mig-devices=index"])),
            [Some("0,1".to_owned())],
            "what Slurm sets"
        );
        assert_eq!(cuda(&srun(&lab, &[two, "--mig-devices=none"])), [None]);
        let by_variable =
            lab.command(&["srun", two, "lab-probe"]).env("SPANK_MIG_DEVICES", "none").output().unwrap();
        assert_eq!(cuda(&by_variable), [None]);
        let job = lab.batch(&[two, "--mig-devices=none"], "lab-probe; srun lab-probe").unwrap();
        let told: Vec<_> = Probe::parse_all(&job.output).into_iter().map(|probe| probe.cuda).collect();
        assert_eq!(told, [None, None], "the batch script and, through it, its step");
    });
}

#[test]
fn one_device_per_task_on_request() {
    on_each_release(|release| {
        let Some((n1, lab)) = start(release, "") else { return };
        let shared = srun(&lab, &["-n2", "--gres=gpu:3g.20gb:2", "--mig-per-task=one"]);
        let [first, second] = [4, 5].map(|index| Some(n1.gpus.gpus[index].uuid.clone()));
        assert_eq!(cuda(&shared), [first, second]);
        assert_eq!(notices(&shared), 0, "{shared:?}");
    });
}

#[test]
fn several_devices_are_noticed_once_per_step() {
    on_each_release(|release| {
        let Some((_, lab)) = start(release, "") else { return };
        assert_eq!(notices(&srun(&lab, &["-n2", "--gres=gpu:3g.20gb:2"])), 1);
        assert_eq!(notices(&srun(&lab, &["--gres=gpu:3g.20gb:1,gpu:a100:1"])), 0, "one MIG device and a GPU");
        assert_healthy(&lab, &[&Layout::n1()]);
    });
}

#[test]
fn a_variable_that_is_not_understood_is_named_once_per_step() {
    on_each_release(|release| {
        let Some((n1, lab)) = start(release, "notices=off") else { return };
        let endless = "x".repeat(100_000);
        for (name, value) in
            [("SPANK_MIG_DEVICES", endless.as_str()), ("SPANK_MIG_PER_TASK", "one\nof\nthem")]
        {
            let command = lab.command(&["srun", "-n3", "--gres=gpu:3g.20gb:1", "lab-probe"]);
            let output = command.user(User::Alice).env(name, value).output().unwrap();
            let uuid = Some(n1.gpus.gpus[4].uuid.clone());
            assert_eq!(cuda(&output), [uuid.clone(), uuid.clone(), uuid], "{output:?}");
            let lines: Vec<_> = output.stderr.lines().filter(|line| line.contains("is not")).collect();
            assert_eq!(lines.len(), 1, "{output:?}");
            assert!(lines[0].starts_with(&format!("[mig] {name}: ")) && lines[0].len() < 200, "{output:?}");
        }
    });
}

#[test]
fn containers_are_told_on_request() {
    on_each_release(|release| {
        let Some((_, lab)) = start(release, "set=cuda,nvidia notices=off") else { return };
        let probes = srun(&lab, &["--gres=gpu:1g.5gb:2"]).probes();
        assert_eq!(probes[0].nvidia, probes[0].cuda);
        assert_eq!(probes[0].cuda_list().len(), 2);
        let without = srun(&lab, &[]).probes();
        assert_eq!((&without[0].cuda, &without[0].nvidia), (&None, &None));
    });
}

/// Where Slurm does not write `CUDA_VISIBLE_DEVICES`, what stands there is the user's, and looks like Slurm's names.
#[test]
fn names_that_a_user_exports_count_for_nothing() {
    on_each_release(|release| {
        let n1 = Layout::n1();
        let silent = n1.gres_conf().replace("Flags=nvidia_gpu_env", "Flags=no_gpu_env");
        assert!(silent.contains("no_gpu_env"), "{silent}");
        let options = options(&[&n1], "notices=off").first_node(n1.node().gres_conf(&silent));
        let Some(lab) = lab::require(Lab::start(release, options)) else { return };
        let run = |arguments: &[&str], exported: &[usize]| {
            let command = lab.command(&[&["srun"], arguments, &["lab-probe"]].concat()).user(User::Alice);
            let output = command.env("CUDA_VISIBLE_DEVICES", &n1.uuids(exported).join(",")).output().unwrap();
            assert!(!output.probes().is_empty(), "{output:?}");
            output.probes()
        };
        let bound = ["-n2", "--gres=gpu:1g.5gb:2", "--gpu-bind=single:1"];
        for (arguments, exported) in [
            (&["--gres=gpu:1g.5gb:2"][..], &[4, 5][..]),
            (&["--gres=gpu:1g.5gb:2"], &[1, 5]),
            (&bound, &[4, 5]),
            (&bound, &[1, 0]),
        ] {
            for probe in run(arguments, exported) {
                assert_eq!(probe.cuda_list(), n1.uuids(&n1.opened(&probe)), "{arguments:?} {exported:?}");
            }
        }
        // A step without devices is left alone, whatever its user believes.
        assert_eq!(run(&[], &[4])[0].cuda_list(), n1.uuids(&[4]));
        assert_healthy(&lab, &[&n1]);
    });
}

#[test]
fn a_misspelt_argument_keeps_its_default() {
    on_each_release(|release| {
        let Some((n1, lab)) = start(release, "on_unresolvd=warn notices=of") else { return };
        assert_eq!(cuda(&srun(&lab, &["--gres=gpu:3g.20gb:1"])), [Some(n1.gpus.gpus[4].uuid.clone())]);
        assert!(lab.slurmd_log("n1").contains("on_unresolvd=warn"), "{}", lab.slurmd_log("n1"));
        assert_healthy(&lab, &[&n1]);
    });
}
