//! Submit rules made of settings: every form of `submit/forms.tsv` in a Lua interpreter, and as `job_submit.lua` and
//! `cli_filter.lua` in a real Slurm.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use gresgen::render::{Context, Templates};
use gresgen::root::Root;
use gresgen::slurm::Settings;
use gresgen::users::{Offer, OfferError};
use lab::{FakeGpus, Lab, Node, Options, Release};

use crate::fixture::Case;

/// The names of the rules in forms.tsv, and what they are made of. Those of the Digital Research Alliance of Canada: one
/// slice for a job, a type named, four names for each (docs.alliancecan.ca, "Multi-Instance GPU", "Rorqual"); those of
/// NJIT: types by their memory, and as many as one likes (NJIT, "MIG Job Submission and SU Charges").
const RULES: [(&str, &str); 6] = [
    ("open", "submit: {synonyms: {tiny: 1g.5gb}, other-types: [v100]}"),
    (
        "default",
        "submit: {default-type: 1g.5gb, synonyms: {tiny: 1g.5gb}, other-types: [v100], \
         defaults: {1g.5gb: {cpus: 2, memory: 300M}}}",
    ),
    ("two", "submit: {max-slices: 2}"),
    ("one", "submit: {require-type: true, max-slices: 1, synonyms: {tiny: 1g.5gb}, other-types: [v100]}"),
    (
        "alliance",
        "{types: {pattern: '{model}_{profile}', models: {NVIDIA H100 80GB HBM3: nvidia_h100_80gb_hbm3}, \
         aliases: {nvidia_h100_80gb_hbm3: h100}}, submit: {require-type: true, max-slices: 1}}",
    ),
    (
        "njit",
        "{types: {pattern: '{model}_{profile}', \
         aliases: {a100_1g.10gb: a100_10g, a100_2g.20gb: a100_20g, a100_3g.40gb: a100_40g}}, submit: {}}",
    ),
];

const GPUS: [(&str, &str); 3] = [
    (
        "alliance",
        "{board: h100-80gb-sxm, slices: [1g.10gb@0, 2g.20gb@2, 3g.40gb@4]}, {board: h100-80gb-sxm, slices: null}",
    ),
    (
        "njit",
        "{board: a100-80gb, slices: [1g.10gb@0, 2g.20gb@2, 3g.40gb@4]}, {board: a100-80gb, slices: null}",
    ),
    (
        "",
        "{board: a100-40gb, slices: [1g.5gb@0, 1g.5gb@1, 2g.10gb@2, 3g.20gb@4]}, {board: a100-40gb, slices: null}",
    ),
];

/// What a cluster of one node offers.
pub(crate) fn offer(gpus: &str, slurm: &str) -> Offer {
    try_offer(gpus, slurm).unwrap()
}

pub(crate) fn try_offer(gpus: &str, slurm: &str) -> Result<Offer, OfferError> {
    let (context, settings) = context(gpus, slurm);
    Offer::new(&context, &settings)
}

fn context(gpus: &str, slurm: &str) -> (Context, Settings) {
    let slurm = if slurm.starts_with('{') { slurm.to_owned() } else { format!("{{{slurm}}}") };
    let case = Case::parse(&format!("nodes: [{{names: n1, gpus: [{gpus}]}}]\nslurm: {slurm}")).unwrap();
    let inventories = case.inventories(&Root::host());
    let tables = case.tables(&inventories);
    let nodes = inventories.iter().zip(&tables);
    let context = Context::of_cluster(nodes, &case.slurm, case.release, &Root::host()).unwrap();
    (context, case.slurm)
}

/// What an embedded template makes of an offer.
pub(crate) fn text(template: &'static str, offer: &Offer) -> String {
    Templates::load(Path::new("/nonexistent")).unwrap().make(template, offer, 0).unwrap()
}

/// All rules as files of a directory.
fn scripts() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, slurm) in RULES {
        let (_, gpus) = GPUS.iter().find(|(of, _)| [name, ""].contains(of)).unwrap();
        let script = text("mig_submit.lua.j2", &offer(gpus, slurm));
        std::fs::write(directory.path().join(format!("{name}.lua")), script).unwrap();
    }
    directory
}

fn beside(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/render/submit").join(file)
}

#[test]
fn every_form_in_an_interpreter() {
    let lua =
        ["lua5.4", "lua5.3", "lua"].into_iter().find(|lua| Command::new(lua).arg("-v").output().is_ok());
    let lua = lua.expect("a Lua interpreter (Debian: lua5.4)");
    let directory = scripts();
    let mut command = Command::new(lua);
    command.arg(beside("run.lua")).arg(beside("forms.tsv")).arg(beside("pairs.tsv"));
    for (name, _) in RULES {
        command.arg(name).arg(directory.path().join(format!("{name}.lua")));
    }
    let output = command.output().unwrap();
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.ends_with(" 0 wrong\n"), "{said}{complained}");
    println!("{said}{complained}");
    assert!(forms().len() >= 200, "{} forms", forms().len());
}

/// A row of forms.tsv: what is expected, and how Slurm differs.
type Forms = BTreeMap<(String, String, String), (String, String)>;

fn forms() -> Forms {
    let text = std::fs::read_to_string(beside("forms.tsv")).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let cells: Vec<String> = line.split('\t').chain([""; 2]).map(str::to_owned).collect();
        let [rules, option, value, expected, differs] = &cells[..5] else { panic!("{line}") };
        ((rules.clone(), option.clone(), value.clone()), (expected.clone(), differs.clone()))
    });
    rows.collect()
}

/// Types with their counts in TRES of `scontrol show job`, as forms.tsv has them.
fn outcome(tres: &str) -> String {
    let entries = tres.split(',').filter_map(|entry| {
        let rest = entry.strip_prefix("gres:gpu").or_else(|| entry.strip_prefix("gres/gpu"))?;
        let rest = rest.trim_start_matches([':', '=']);
        Some(match rest.rsplit_once([':', '=']) {
            Some((name, count)) => format!("{name}:{count}"),
            None => format!(":{}", if rest.is_empty() { "1" } else { rest }),
        })
    });
    entries.collect::<Vec<_>>().join(",")
}

/// Rules that let everything through.
const NOTHING: &str = "function slurm_job_submit() return slurm.SUCCESS end\nfunction slurm_job_modify() return slurm.SUCCESS end\n";

/// Has slurmctld ask other rules.
fn install(lab: &Lab, script: &str) {
    lab.write_file("/etc/slurm/job_submit.lua", script).unwrap();
    // slurmctld reads it again when it is younger than the one it has, by whole seconds.
    lab.restart_slurmctld().unwrap();
}

fn start(release: Release) -> Option<Lab> {
    let gpus = FakeGpus::new(&[(0, 7, 0), (0, 8, 0)]);
    let node = |name: &str| {
        Node::new(name).gres("gpu:1g.5gb:2").gres_conf(&gpus.gres_conf(name, &["1g.5gb", "1g.5gb"]))
    };
    let lab = Lab::start(
        release,
        Options::new(node("n1"))
            .node(node("n2"))
            .gpus(&gpus)
            .slurm_conf("JobSubmitPlugins=lua\nCliFilterPlugins=lua")
            .text("/etc/slurm/job_submit.lua", NOTHING)
            .text("/etc/slurm/cli_filter.lua", &text("mig_submit.lua.j2", &offer(GPUS[2].1, "submit: {}"))),
    );
    lab::require(lab)
}

#[test]
fn every_form_in_slurm() {
    for release in Release::selected() {
        let Some(lab) = start(release) else { return };
        let (scripts, forms) = (scripts(), forms());
        for (name, _) in RULES {
            let script = format!("{name}.lua");
            lab.install(&scripts.path().join(&script), &format!("/var/lab/rules/{script}")).unwrap();
        }
        for file in ["forms.tsv", "run.sh"] {
            lab.install(&beside(file), &format!("/var/lab/rules/{file}")).unwrap();
        }
        // In parts, as a command in a lab has a minute.
        let (mut said, mut seen) = (String::new(), BTreeSet::new());
        for place in ["job", "command"] {
            for (name, _) in RULES {
                let script = "bash /var/lab/rules/run.sh /var/lab/rules/forms.tsv /var/lab/rules \"$@\"";
                said += &lab.run(&["bash", "-c", script, "run", place, name]).unwrap().stdout;
            }
        }
        let mut wrong = Vec::new();
        for line in said.lines() {
            let cells: Vec<&str> = line.splitn(5, '\t').collect();
            let [place, rules, option, value, got] = cells[..] else { panic!("{release}: {line:?}") };
            let form = (rules.to_owned(), option.to_owned(), value.to_owned());
            let (expected, differs) = &forms[&form];
            if !is_right(release, place == "job", expected, differs, got) {
                wrong.push(format!("{release}: {line}; wanted {expected}"));
            }
            seen.insert((place.to_owned(), form));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(seen.len(), 2 * forms.len(), "{release}: forms that were not tried");
    }
}

fn is_right(release: Release, in_slurmctld: bool, expected: &str, differs: &str, got: &str) -> bool {
    let refusal = got.strip_prefix('!');
    let ours = got.contains("[mig] ");
    match differs {
        "new" if release == Release::Bookworm => return refusal.is_some() && !ours,
        // Slurm's own refusal misroutes nothing.
        "slurm" if in_slurmctld && refusal.is_some() && !ours => return true,
        // Newer commands hide the type of a task's GPU without a count, so slurmctld sees one of any type.
        "task" if in_slurmctld && outcome(got) == ":1" => return release != Release::Bookworm,
        _ => {}
    }
    match (expected.strip_prefix('!'), refusal) {
        (Some(word), Some(said)) => ours && said.contains(word),
        (None, None) => outcome(got) == expected,
        _ => false,
    }
}

/// Rows of pairs.tsv with `max-slices: 2`: options of sbatch, words of scontrol update, what refuses the last of them.
fn pairs_of_options() -> Vec<[String; 3]> {
    let text = std::fs::read_to_string(beside("pairs.tsv")).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("two\t"));
    rows.map(|row| {
        let mut cells = row.split('\t').chain([""; 2]).map(str::to_owned);
        std::array::from_fn(|_| cells.next().unwrap())
    })
    .collect()
}

/// How many GPUs Slurm gives a job with such options, or what it says. The job is gone afterwards.
fn given(lab: &Lab, options: &str) -> Result<u64, String> {
    let command = ["salloc", "--no-shell", "--immediate=20", "--job-name=pair"];
    let command: Vec<&str> = command.into_iter().chain(options.split_whitespace()).collect();
    let output = lab.command(&command).output().unwrap();
    if !output.success() {
        return Err(output.stderr);
    }
    let shown = lab.run(&["scontrol", "-d", "-o", "show", "job"]).unwrap().stdout;
    let sum = given_to_running(&shown);
    lab.run(&["scancel", "--name=pair"]).unwrap();
    Ok(sum)
}

/// How many GPUs a held job is given when it is released; 0 for one that cannot start. The job is gone afterwards.
fn begun(lab: &Lab, job: lab::JobId) -> u64 {
    let id = job.to_string();
    // One that Slurm cannot take any longer as it is.
    let _ = lab.command(&["scontrol", "release", &id]).output();
    let shown = lab
        .wait("the job to start or not to", || {
            let shown = lab.run(&["scontrol", "-d", "-o", "show", "job", &id])?.stdout;
            // What waits for the scheduler has no reason yet, or an old one.
            let undecided = shown.contains("JobState=PENDING")
                && ["Reason=None", "Reason=JobHeld", "Reason=Priority"]
                    .iter()
                    .any(|reason| shown.contains(reason));
            Ok((!undecided).then_some(shown))
        })
        .unwrap();
    lab.run(&[
        "sh",
        "-c",
        "scancel \"$1\"; while squeue -h -j \"$1\" | grep -q .; do sleep 0.05; done",
        "sh",
        &id,
    ])
    .unwrap();
    given_to_running(&shown)
}

fn given_to_running(shown: &str) -> u64 {
    let gres = shown.lines().filter(|line| line.contains("JobState=RUNNING"));
    let gres =
        gres.filter_map(|line| line.split_whitespace().find_map(|word| word.strip_prefix("JOB_GRES=")));
    let counts = gres
        .filter(|gres| *gres != "(null)")
        .flat_map(|gres| gres.split(','))
        .map(|entry| entry.rsplit(':').next().unwrap().parse::<u64>());
    counts.map(|count| count.unwrap_or_else(|_| panic!("{shown}"))).sum()
}

/// What Slurm gives without the rules is the judge of what they count.
#[test]
fn options_together_in_slurm() {
    for release in Release::selected() {
        let Some(lab) = start(release) else { return };
        let (changes, pairs): (Vec<_>, Vec<_>) =
            pairs_of_options().into_iter().partition(|[_, change, _]| !change.is_empty());
        let given_without: Vec<_> = pairs.iter().map(|[options, ..]| given(&lab, options)).collect();
        install(&lab, &std::fs::read_to_string(scripts().path().join("two.lua")).unwrap());
        let mut wrong = Vec::new();
        for ([options, ..], without) in pairs.iter().zip(&given_without) {
            let got = given(&lab, options);
            let ours = got.as_ref().is_err_and(|said| said.contains("[mig] "));
            let more = got.as_ref().is_ok_and(|count| *count > 2);
            if more || without.as_ref().is_ok_and(|count| ours != (*count > 2)) {
                wrong.push(format!("{release}: {options}: without rules {without:?}, with them {got:?}"));
            }
        }
        for [options, change, expected] in &changes {
            let options: Vec<&str> = options.split_whitespace().collect();
            let job = lab.sbatch(lab::User::Root, &[&["--hold"], &options[..]].concat(), "exec sleep 60");
            let Ok(job) = job else {
                wrong.push(format!("{release}: {options:?}: {job:?}"));
                continue;
            };
            let id = format!("JobId={job}");
            let words = ["scontrol", "update", &id].into_iter().chain(change.split_whitespace());
            let changed = lab.command(&words.collect::<Vec<_>>()).output().unwrap();
            // 22.05 does not tell why.
            let told = changed.stderr.contains("[mig] ") || release == Release::Bookworm;
            if changed.success() != expected.is_empty() || !changed.success() && !told {
                wrong.push(format!("{release}: {options:?}, {change}: {changed:?}"));
            }
            let got = begun(&lab, job);
            if got > 2 {
                wrong.push(format!("{release}: {options:?}, {change}: was given {got}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let judged =
            |many: bool| given_without.iter().flatten().filter(|count| (**count > 2) == many).count();
        assert!(judged(false) >= 7 && judged(true) >= 5, "{release}: {given_without:#?}");
    }
}

#[test]
fn a_job_gets_what_comes_with_its_slice() {
    for release in Release::selected() {
        let Some(lab) = start(release) else { return };
        let rules = |name: &str| {
            install(&lab, &std::fs::read_to_string(scripts().path().join(format!("{name}.lua"))).unwrap());
        };
        let shown = |arguments: &[&str]| {
            let job = lab.sbatch(lab::User::Alice, &[&["--hold"], arguments].concat(), "true").unwrap();
            lab.run(&["scontrol", "-o", "show", "job", &job.to_string()]).unwrap().stdout
        };
        let field = |text: &str, key: &str| {
            let found = text.split_whitespace().find_map(|word| word.strip_prefix(&format!("{key}=")));
            found.unwrap_or_default().to_owned()
        };
        rules("default");
        let plain = shown(&["--gres=gpu:mem:4G"]);
        assert_eq!(outcome(&field(&plain, "TresPerNode")), "1g.5gb:1", "{release}: {plain}");
        assert!(field(&plain, "CpusPerTres").ends_with("gpu:2"), "{release}: {plain}");
        assert!(field(&plain, "MemPerTres").ends_with("gpu:300"), "{release}: {plain}");
        let own = shown(&["--gres=gpu:1g.5gb:1", "-c3", "--mem=100M"]);
        assert!(
            field(&own, "CpusPerTres").is_empty() && field(&own, "MemPerTres").is_empty(),
            "{release}: {own}"
        );
        let ran = lab.batch(&["--gres=gpu:a100_1.5:1"], "echo cpus $SLURM_CPUS_ON_NODE").unwrap();
        assert_eq!((ran.state.as_str(), ran.output.trim()), ("COMPLETED", "cpus 2"), "{release}");

        rules("one");
        let refused = lab.command(&["sbatch", "-N2", "--gres=gpu:1g.5gb:1", "--wrap=true"]).output().unwrap();
        assert!(refused.stderr.contains("asks for 2"), "{release}: {refused:?}");
        // The same for a change of a job.
        let job = lab.sbatch(lab::User::Root, &["--hold", "--gres=gpu:1g.5gb:1"], "true").unwrap();
        let change = format!("jobid={job}");
        let changed = lab.command(&["scontrol", "update", &change, "gres=gpu:1g.5gb:2"]).output().unwrap();
        // 22.05 does not tell why.
        let told = changed.stderr.contains("[mig] ") || release == Release::Bookworm;
        assert!(!changed.success() && told, "{release}: {changed:?}");
        lab.run(&["scontrol", "update", &change, "TimeLimit=5"]).unwrap();
    }
}

#[test]
fn a_script_of_the_site_calls_the_rules() {
    let directory = scripts();
    let site = directory.path().join("site.lua");
    // As docs/submit.md has it.
    let text = format!(
        "dofile(\"{}/one.lua\")\nfunction slurm_job_submit(job, partitions, uid)\n  local reason = mig_submit_job(job)\n  \
         if reason then slurm.log_user(\"%s\", reason) return slurm.ERROR end\n  job.comment = \"seen\"\n  \
         return slurm.SUCCESS\nend\n\
         slurm = {{ SUCCESS = 0, ERROR = -1, log_user = function(f, t) said = t end }}\n\
         job = {{ tres_per_node = \"gres:gpu:tiny\" }}\nassert(slurm_job_submit(job, {{}}, 0) == 0)\n\
         assert(job.tres_per_node == \"gres:gpu:1g.5gb:1\" and job.comment == \"seen\")\n\
         assert(slurm_job_submit({{ tres_per_job = \"gres:gpu:1g.5gb:2\" }}, {{}}, 0) == -1 and said:find(\"one MIG\"))\n\
         spread = {{ tres_per_node = \"gres:gpu:1g.5gb:1\", num_tasks = 64 }}\n\
         assert(slurm_job_submit(spread, {{}}, 0) == 0 and spread.max_nodes == 1)\n",
        directory.path().display()
    );
    std::fs::write(&site, text).unwrap();
    let output = Command::new("lua5.4").arg(&site).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A type of unknown memory is offered to nobody who asks for memory, nor called the largest.
#[test]
fn memory_that_is_not_known_is_not_promised() {
    let (mut context, settings) = context(GPUS[2].1, "submit: {}");
    let devices = context.nodes.iter_mut().flat_map(|node| &mut node.devices);
    devices.filter(|device| device.r#type == "1g.5gb").for_each(|device| device.memory_mib = None);
    let mut offer = Offer::new(&context, &settings).unwrap();
    let names: Vec<&str> = offer.types.iter().map(|kind| kind.name.as_str()).collect();
    assert_eq!(names, ["2g.10gb", "3g.20gb", "a100", "1g.5gb"]);
    let said = |offer: &Offer, form: &str| {
        let script = format!(
            "slurm = {{ SUCCESS = 0, ERROR = -1, log_user = function(f, t) said = t end }}\n{}\n\
             local job = {{ tres_per_node = \"{form}\" }}\nslurm_job_submit(job, {{}}, 0)\nio.write(said or job.tres_per_node)\n",
            text("mig_submit.lua.j2", offer)
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        let output = Command::new("lua5.4").arg(file.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(
        said(&offer, "gres:gpu:mem:80G").ends_with("the largest is a100 (42 GB)"),
        "{}",
        said(&offer, "gres:gpu:mem:80G")
    );
    assert_eq!(said(&offer, "gres:gpu:mem:1G"), "gres:gpu:2g.10gb:1");
    offer.types.iter_mut().for_each(|kind| kind.memory_mib = None);
    assert!(said(&offer, "gres:gpu:mem:1G").contains("name a type: 2g.10gb, 3g.20gb, a100, 1g.5gb"));
}

/// A type, product or synonym that would end the literal it stands in.
#[test]
fn names_cannot_leave_their_quotes() {
    let mut offer = offer(GPUS[2].1, "submit: {}");
    let evil = "x\" } os.execute(\"touch /tmp/evil\") --\\\n#{{ x }}";
    offer.types[0].name = evil.to_owned();
    offer.synonyms.insert(evil.to_owned(), evil.to_owned());
    let script = text("mig_submit.lua.j2", &offer);
    let file = tempfile::NamedTempFile::new().unwrap();
    let call = "slurm = { SUCCESS = 0 }\nos.execute = function() error(\"it ran\") end\n";
    std::fs::write(file.path(), format!("{call}{script}\nassert(slurm_job_submit({{}}, {{}}, 0) == 0)\n"))
        .unwrap();
    let output = Command::new("lua5.4").arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
