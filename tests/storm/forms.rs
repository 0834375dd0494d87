//! Requests of every form, and what each of their tasks must have.

use crate::random::Random;

/// Profiles on offer.
pub(crate) const KINDS: [&str; 4] = ["1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"];

/// A job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Options of sbatch.
    pub(crate) arguments: Vec<String>,
    /// The script, in which tasks say what they must have.
    pub(crate) script: String,
    /// Tasks that say it in one run of one element.
    pub(crate) tasks: usize,
    /// Elements of the array, or components: jobs by Slurm's count.
    pub(crate) jobs: usize,
}

impl Form {
    /// Whether each of its jobs is on one node, and it is no heterogeneous one.
    pub(crate) fn is_of_one_node(&self) -> bool {
        !self.arguments.is_empty() && !self.arguments.iter().any(|argument| argument == "-N2")
    }

    pub(crate) fn names_a_node(&self) -> bool {
        self.arguments.iter().any(|argument| argument.starts_with("--nodelist="))
    }
}

/// What of a form a seed chooses.
struct Choice {
    kind: &'static str,
    other: &'static str,
    hold: String,
}

type Make = fn(&Choice) -> Form;

/// Forms, each as often as its number says.
const FORMS: [(u64, Make); 15] = [
    (30, |c| plain(&format!("--gres=gpu:{}:1", c.kind), c.kind, c)),
    (10, |c| plain(&format!("--gpus={}:1", c.kind), c.kind, c)),
    (8, |c| plain(&format!("--gpus-per-node={}:1", c.kind), c.kind, c)),
    (6, |c| plain(&format!("--gres=gpu:{}:2", c.two()), &format!("{0}+{0}", c.two()), c)),
    (4, |c| plain(&format!("-N1 --gpus={}:2", c.two()), &format!("{0}+{0}", c.two()), c)),
    (6, |c| {
        plain(&format!("--gres=gpu:{},gpu:{}", one(c.two()), one(c.second())), &both(c.two(), c.second()), c)
    }),
    (4, |c| plain("--gres=gpu:1", "any", c)),
    (3, |c| plain("-N1 --gpus=2", "any+any", c)),
    (4, |c| plain(&format!("--gres=gpu:{}:1 --gres-flags=disable-binding", c.kind), c.kind, c)),
    (4, |c| plain(&format!("--gres=gpu:{}:1 --gres-flags=enforce-binding", c.kind), c.kind, c)),
    (6, |c| steps(&format!("-N2 -n2 --gres=gpu:{}:1", c.kind), "-n2", c.kind, 2, c)),
    (3, |c| steps(&format!("-N2 -n2 --gpus-per-node={}:1", c.kind), "-n2", c.kind, 2, c)),
    (4, |c| steps("-N1 -n2 --gpus-per-task=1", "-n2", "any", 2, c)),
    (6, |c| Form {
        arguments: words(&format!("--gres=gpu:{}:1 --array=0-3%2", c.kind)),
        jobs: 4,
        ..steps("", "-n1", c.kind, 1, c)
    }),
    (4, heterogeneous),
];

impl Choice {
    /// A kind of which a GPU can have two.
    fn two(&self) -> &'static str {
        if self.kind == "7g.40gb" { "3g.20gb" } else { self.kind }
    }

    /// Another kind beside [`Self::two`].
    fn second(&self) -> &'static str {
        if self.other != self.two() { self.other } else { KINDS[usize::from(self.two() == KINDS[0])] }
    }
}

/// A request that nothing serves at first, so that there is something to cut in the shortest storm.
pub(crate) fn first() -> Form {
    let choice = Choice { kind: "2g.10gb", other: "1g.5gb", hold: "1.1".to_owned() };
    plain("--gres=gpu:2g.10gb:1", choice.kind, &choice)
}

/// A form by chance. Jobs hold what they have for `seconds` at most.
pub(crate) fn any(random: &mut Random, seconds: u64) -> Form {
    let all: u64 = FORMS.iter().map(|(weight, _)| weight).sum();
    let mut at = random.below(all);
    let (_, make) = FORMS
        .iter()
        .find(|(weight, _)| {
            let here = at < *weight;
            at = at.saturating_sub(*weight);
            here
        })
        .expect("a form");
    let hold = random.below(seconds * 10);
    let choice = Choice {
        kind: KINDS[[0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 3][random.below(13) as usize]],
        other: KINDS[random.below(3) as usize],
        hold: format!("{}.{}", hold / 10, hold % 10),
    };
    make(&choice)
}

/// One task, or the script itself, has it all: by chance, which the time tells apart.
fn plain(options: &str, must: &str, choice: &Choice) -> Form {
    if choice.hold.ends_with(['0', '3', '6', '9']) {
        let script = format!("exec lab-storm-task {must} {}", choice.hold);
        return Form { arguments: words(options), script, tasks: 1, jobs: 1 };
    }
    steps(options, "-n1", must, 1, choice)
}

/// A step has it.
fn steps(options: &str, of_srun: &str, must: &str, tasks: usize, choice: &Choice) -> Form {
    let script = format!("exec srun --quiet {of_srun} lab-storm-task {must} {}", choice.hold);
    Form { arguments: words(options), script, tasks, jobs: 1 }
}

fn heterogeneous(choice: &Choice) -> Form {
    let (kind, other, hold) = (choice.kind, choice.other, &choice.hold);
    let step = |group: usize, must: &str| {
        format!("srun --quiet --het-group={group} lab-storm-task {must} {hold} &\n")
    };
    let script = format!(
        "#SBATCH --gres=gpu:{kind}:1\n#SBATCH hetjob\n#SBATCH --gres=gpu:{other}:1\n{}{}wait -n && wait -n",
        step(0, kind),
        step(1, other)
    );
    Form { arguments: Vec::new(), script, tasks: 2, jobs: 2 }
}

fn one(kind: &str) -> String {
    format!("{kind}:1")
}

fn both(first: &str, second: &str) -> String {
    format!("{first}+{second}")
}

fn words(options: &str) -> Vec<String> {
    options.split_whitespace().map(str::to_owned).collect()
}
