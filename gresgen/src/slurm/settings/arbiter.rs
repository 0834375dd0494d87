//! The arbiter: `slurm.arbiter`.
//!
//! How it reaches nodes, and how patient and how restless it is. The policy itself is [`Policy`]'s; what is not said here is as it
//! has it.

use std::time::Duration;

use ::demand::Policy;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{Deserializer, Error};

use super::Scalar;

/// What the arbiter may do, and how it has it done. Times are written as `90s`, `2m` or `1h 30m`, in whole seconds.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Arbiter {
    /// The command that gives an order to a node: it has the order on its standard input and answers as `gresgen order` on
    /// the node does. A list of words, of which `{node}` is the node's name in Slurm; no shell reads it.
    #[serde(deserialize_with = "words")]
    #[schemars(with = "Vec<Scalar>")]
    pub reach: Vec<String>,
    /// A job that has waited less is not looked at; 2 s. With less, GPUs are cut for jobs that Slurm starts by itself.
    #[serde(deserialize_with = "time")]
    #[schemars(with = "String")]
    pub patience: Duration,
    /// A job for which nothing is idle gets a cordon when it has waited so long; 2 min. With less, large requests start
    /// sooner, and more of the GPUs stands idle meanwhile.
    #[serde(deserialize_with = "time")]
    #[schemars(with = "String")]
    pub cordon_after: Duration,
    /// A region that falls idle later than in this time gets a cordon only for a job that has waited as long; 1 h. With more,
    /// regions are kept for jobs that end late.
    #[serde(deserialize_with = "time")]
    #[schemars(with = "String")]
    pub cordon_within: Duration,
    /// An instance made less long ago stays for the job that it fits, whoever else waits; 1 min. With more, fewer cuts.
    #[serde(deserialize_with = "time")]
    #[schemars(with = "String")]
    pub dwell: Duration,
    /// A job that Slurm has not started in this time, though all it asks for was there, keeps it from nobody; 90 s. It has to
    /// be longer than Slurm takes to look at a job (`bf_interval` of slurm.conf).
    #[serde(deserialize_with = "time")]
    #[schemars(with = "String")]
    pub grace: Duration,
    /// A GPU that was idle for so long goes back to the cut of its layout; 1 h. `None`, written `never`: it stays.
    #[serde(deserialize_with = "time_or_never")]
    #[schemars(with = "String")]
    pub linger: Option<Duration>,
    /// Cuts of one node in an hour, at most; 120. With less, jobs wait where the mix changes fast.
    pub cuts_per_hour: u32,
    /// Whether idle instances are closed while better ones of their profile are open, so that Slurm gives out those which stand
    /// least in the way of larger ones; `false`. With it large jobs wait less, about each job that starts is followed by an order,
    /// and partitions without a `catalog` refuse jobs that want more than is open.
    pub steer: bool,
    /// Whether the AdminComment of a waiting job says what it waits for. A comment that is not the arbiter's is left alone.
    pub comments: bool,
}

/// What stands for the node's name in `reach`.
const NODE: &str = "{node}";

/// Longest time that can be written: a year of 366 days.
const MOST: Duration = Duration::from_secs(366 * 86_400);

impl Default for Arbiter {
    fn default() -> Self {
        let policy = Policy::default();
        // IdentitiesOnly: another key of root's, or of an agent, may open a shell where this one takes orders; -a: nor may root of
        // a node use such an agent, whatever ssh_config(5) forwards. BatchMode: it asks nobody; ConnectTimeout: a node that is
        // gone is known to be in seconds. Host keys are checked as ssh is set up to.
        let reach = "ssh -a -i /etc/gresgen/order_key -o IdentitiesOnly=yes -o BatchMode=yes -o ConnectTimeout=5 root@{node}";
        Arbiter {
            reach: reach.split(' ').map(str::to_owned).collect(),
            patience: Duration::from_secs(policy.patience),
            cordon_after: Duration::from_secs(policy.cordon_after),
            cordon_within: Duration::from_secs(policy.reach),
            dwell: Duration::from_secs(policy.dwell),
            grace: Duration::from_secs(policy.grace),
            linger: Some(Duration::from_secs(policy.linger)),
            cuts_per_hour: policy.cuts_per_hour,
            steer: policy.steer,
            comments: true,
        }
    }
}

impl Arbiter {
    /// The command that gives an order to this node: its program and arguments.
    pub fn command(&self, node: &str) -> Vec<String> {
        self.reach.iter().map(|word| word.replace(NODE, node)).collect()
    }

    /// How decisions are made.
    pub fn policy(&self) -> Policy {
        Policy {
            patience: self.patience.as_secs(),
            cordon_after: self.cordon_after.as_secs(),
            reach: self.cordon_within.as_secs(),
            dwell: self.dwell.as_secs(),
            grace: self.grace.as_secs(),
            linger: self.linger.map_or(u64::MAX, |linger| linger.as_secs()),
            cuts_per_hour: self.cuts_per_hour,
            steer: self.steer,
            ..Policy::default()
        }
    }

    /// Checks what can be checked without a node.
    ///
    /// # Errors
    /// Where it is wrong, below the section, and what, as a phrase that names it.
    pub(super) fn check(&self) -> Result<(), (Vec<String>, String)> {
        let at = |key: &str, what: &str| Err((vec![key.to_owned()], format!("{key}: {what}")));
        let past = self.reach.len().to_string();
        let list = |what: &str| Err((vec!["reach".to_owned(), past.clone()], format!("reach: {what}")));
        match self.reach.split_first() {
            None => return list("no command stands here; leave it away for ssh"),
            Some((program, _)) if program.contains(NODE) => {
                let what = "reach: the program is the same for every node; {node} belongs into its arguments";
                return Err((vec!["reach".to_owned(), "0".to_owned()], what.to_owned()));
            }
            Some((_, arguments)) if !arguments.iter().any(|word| word.contains(NODE)) => {
                return list("{node} stands in no word, so every order would go to the same node");
            }
            Some(_) => {}
        }
        if self.grace < Duration::from_secs(1) {
            return at("grace", "0s lets Slurm start nothing of what was cut");
        }
        if self.cuts_per_hour == 0 {
            return at("cuts-per-hour", "0 allows no cut; on nodes without orders: true nothing is cut, too");
        }
        Ok(())
    }
}

/// Words of a command; YAML reads `22` as a number, and it is meant as one all the same.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Vec::<Scalar>::deserialize(deserializer)?.into_iter().map(|word| word.0).collect())
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    read(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn time_or_never<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "never" => Ok(None),
        text => read(text).map(Some).map_err(D::Error::custom),
    }
}

fn read(text: &str) -> Result<Duration, String> {
    let time =
        humantime::parse_duration(text).map_err(|error| format!("{text:?}: {error}; write 90s or 2m"))?;
    match time {
        time if time.subsec_nanos() != 0 => Err(format!("{text:?}: times are whole seconds")),
        time if time > MOST => Err(format!("{text:?}: more than a year")),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Arbiter, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_said_is_the_policy_of_the_library() {
        let nothing = read("{}").unwrap();
        assert_eq!(nothing, Arbiter::default());
        assert_eq!(nothing.check(), Ok(()));
        assert_eq!(format!("{:?}", nothing.policy()), format!("{:?}", Policy::default()));
    }

    #[test]
    fn every_key_arrives_in_the_policy() {
        let said = "{patience: 5s, cordon-after: 1m, cordon-within: 2h, dwell: 10s, grace: 2m, linger: never, \
                    cuts-per-hour: 7, steer: true, comments: false}";
        let said = read(said).unwrap();
        insta::assert_debug_snapshot!(said.policy());
        assert_eq!(read("linger: 30m").unwrap().policy().linger, 1800);
        assert!(!said.comments);
    }

    #[test]
    fn a_node_stands_wherever_it_is_named() {
        let said = read("reach: [sudo, -u, orders, ssh, -p, 22, '{node}', order, '--node={node}']").unwrap();
        assert_eq!(said.check(), Ok(()));
        assert_eq!(
            said.command("n1"),
            ["sudo", "-u", "orders", "ssh", "-p", "22", "n1", "order", "--node=n1"]
        );
        assert_eq!(Arbiter::default().command("n1").last().unwrap(), "root@n1");
    }

    #[test]
    fn what_is_wrong_is_refused_by_name() {
        for (text, place, words) in [
            ("reach: []", "reach.0", "no command stands here"),
            ("reach: [ssh, root@n1]", "reach.2", "{node} stands in no word"),
            ("reach: ['{node}', x]", "reach.0", "the program is the same"),
            ("grace: 0s", "grace", "0s lets Slurm start nothing"),
            ("cuts-per-hour: 0", "cuts-per-hour", "0 allows no cut"),
        ] {
            let (at, what) = read(text).unwrap().check().unwrap_err();
            assert_eq!(at.join("."), place, "{text}");
            assert!(what.contains(words), "{text}: {what}");
        }
        for (text, words) in [
            ("patience: 2", "write 90s or 2m"),
            ("patience: never", "write 90s or 2m"),
            ("dwell: 500ms", "whole seconds"),
            ("dwell: 2years", "more than a year"),
            ("linger: -1s", "write 90s or 2m"),
            ("reach: ssh", "expected"),
            ("reach: [ssh, '', '{node}']", "an empty value"),
            ("reach: [ssh, \"a\\0b\", '{node}']", "an empty value, or one of several lines"),
            ("cuts-per-hour: -1", "-1"),
            ("cordon: 1m", "cordon"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
