//! All jobs of the cluster as `squeue` lists them, and what those that wait ask for.
//!
//! What users write stands behind what slurmctld says itself: a text with a separator in it spoils what stands behind it, of
//! its own job alone, and never the job's number, state or reason.

use super::elements::count;
use super::job::mib;
use super::listing::Listing;
use super::waiting::least;
use crate::slurm::duration;

/// A job in any state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) listing: Listing,
    /// As squeue names it: `7`, `1_2`, `1_[3-9%2]`, `12+1`.
    pub(crate) shown: String,
    /// The array that it is of; its own number where it is of none.
    pub(crate) array: u32,
    /// For what waits of an array: how many, and how many may run at once.
    pub(crate) elements: Option<(u32, Option<u32>)>,
    /// When it has to end at the latest, in seconds since 1970; `None` where it has no limit.
    pub(crate) ends: Option<u64>,
    /// Seconds from its start until it has to end, at least; a year without a limit, as slurmctld counts there (`_get_job_duration`,
    /// src/slurmctld/reservation.c). A job that names no limit has that of its partition by now.
    pub(crate) lasts: u64,
    pub(crate) priority: u64,
    /// Since when it can run, in seconds since 1970, where its [`Request`] is of elements that cannot.
    pub(crate) eligible: Option<u64>,
    /// Why it waits.
    pub(crate) reason: String,
    /// Host list of the nodes that it has.
    pub(crate) nodes: String,
    pub(crate) partitions: Vec<String>,
    /// Which nodes it wants; `None` where that cannot be read.
    pub(crate) place: Option<Place>,
}

/// Nodes that a job names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    /// Host list of those it must have; empty for none.
    pub(crate) required: String,
    /// Host list of those it must not have; empty for none.
    pub(crate) excluded: String,
    /// Reservation that it runs in; empty for none.
    pub(crate) reservation: String,
}

/// What a job that waits asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) id: u32,
    /// How many nodes, at least.
    pub(crate) nodes: u32,
    pub(crate) tasks: u32,
    /// Since when it can run, in seconds since 1970.
    pub(crate) eligible: Option<u64>,
    /// The first component of the heterogeneous job that it is of.
    pub(crate) group: Option<u32>,
    /// CPUs on all nodes.
    pub(crate) cpus: u32,
    /// Memory on all nodes, in MiB.
    pub(crate) memory_mib: u64,
    /// It shares its nodes with nobody.
    pub(crate) whole: bool,
    /// TRES per job, node, socket and task.
    pub(crate) tres: [String; 4],
    /// Features of its nodes; empty for none.
    pub(crate) features: String,
}

/// Seconds of a year (src/common/slurm_protocol_defs.h, `YEAR_SECONDS`).
const YEAR: u64 = 365 * 24 * 3600;

/// A number that nobody has: Slurm prints a word for it.
fn word(text: &str) -> &str {
    if text == "(null)" || text == "N/A" { "" } else { text }
}

impl Queued {
    /// For `squeue -o`. Login names are a directory service's, whose words are not known here.
    pub(crate) const FORMAT: &'static str = "%A|%U|%t|%i|%F|%K|%e|%l|%Q|%r|%N|%P|%n|%x|%v|%u";

    /// The same with so much of the nodes that a job names, filled up with blanks.
    pub(super) fn cut(most: usize) -> String {
        Self::FORMAT.replace("%n", &format!("%{most}n")).replace("%x", &format!("%{most}x"))
    }

    /// Reads what squeue printed, with so much at most of the nodes that a job names; lines that are no job are counted.
    pub(crate) fn parse(text: &str, most: usize) -> (Vec<Self>, u64) {
        let jobs: Vec<Option<Self>> = text.lines().map(|line| Self::parse_line(line, most)).collect();
        let unread = jobs.iter().filter(|job| job.is_none()).count() as u64;
        (jobs.into_iter().flatten().collect(), unread)
    }

    fn parse_line(line: &str, most: usize) -> Option<Self> {
        let fields: Vec<&str> = line.splitn(13, '|').collect();
        let [id, uid, state, shown, array, elements, ends, limit, priority, reason, nodes, partitions, rest] =
            fields[..]
        else {
            return None;
        };
        let rest: Vec<&str> = rest.split('|').collect();
        let (place, login) = match rest[..] {
            [required, excluded, reservation, login] => {
                let [required, excluded, reservation] =
                    [required, excluded, reservation].map(|field| word(field.trim()).to_owned());
                let whole = required.len() < most && excluded.len() < most;
                (whole.then_some(Place { required, excluded, reservation }), login)
            }
            _ => (None, ""),
        };
        let id = id.parse().ok()?;
        let of_array = |shown: &str| shown.contains('[');
        Some(Queued {
            // Nobody asks for this job alone.
            listing: Listing {
                query: format!("{id}"),
                id,
                uid: uid.parse().ok()?,
                state: state.trim().to_owned(),
                login: login.trim().to_owned(),
            },
            shown: shown.to_owned(),
            array: array.parse().unwrap_or(id),
            elements: of_array(shown).then(|| self::elements(elements)).flatten(),
            // A job without a limit ends a year later (seen on 22.05.8, 24.11.5 and 26.05.5).
            ends: ends.parse().ok().filter(|_| !["UNLIMITED", "365-00:00:00"].contains(&limit)),
            lasts: duration(limit, 60).map_or(YEAR, u64::from),
            priority: priority.parse().ok()?,
            eligible: None,
            reason: reason.to_owned(),
            nodes: nodes.to_owned(),
            partitions: partitions.split(',').map(str::to_owned).collect(),
            place,
        })
    }

    /// Whether it can have devices. One without nodes has none, whatever its state: that of a job that is held for its exit code (SE)
    /// or because its reservation was deleted (RD) is no `PD`, and a job that runs may show as RD, too (`_validate_job_resv`,
    /// src/slurmctld/reservation.c of 26.05).
    pub(crate) fn may_hold(&self) -> bool {
        self.listing.may_hold() && !self.nodes.is_empty()
    }

    /// Whether it waits.
    pub(crate) fn waits(&self) -> bool {
        self.listing.state == "PD"
    }
}

/// How many `0-9%2`, `1,3,5-399:2` are, and how many may run at once.
fn elements(text: &str) -> Option<(u32, Option<u32>)> {
    let (list, throttle) = match text.split_once('%') {
        Some((list, throttle)) => (list, Some(throttle.parse().ok()?)),
        None => (text, None),
    };
    Some((count(list)?, throttle.filter(|most| *most > 0)))
}

impl Request {
    /// For `squeue -O`. A field that it does not know stays empty, with a word about it on its standard error: `Exclusive` is new
    /// in 26.05, where `OverSubscribe` says another thing (seen on 22.05.8, 24.11.5 and 26.05.5).
    pub(crate) const FORMAT: &'static str = "JobID:|,NumNodes:|,NumTasks:|,NumCPUs:|,EligibleTime:|,HetJobID:|,tres-alloc:|,\
        Exclusive:|,OverSubscribe:|,tres-per-job:|,tres-per-node:|,tres-per-socket:|,tres-per-task:|,Feature:|";

    /// Reads what squeue printed.
    pub(crate) fn parse(text: &str) -> Vec<Self> {
        text.lines().filter_map(Self::parse_line).collect()
    }

    fn parse_line(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.trim_end().strip_suffix('|')?.splitn(14, '|').collect();
        let [id, nodes, tasks, cpus, since, group, total, alone, shares, job, node, socket, task, features] =
            fields[..]
        else {
            return None;
        };
        let shared = if alone.is_empty() { ["OK", "YES"].contains(&shares) } else { alone == "NO" };
        let number = |text: &str| u32::try_from(least(text)?).ok();
        // `cpu=4,mem=7.81G,node=1`; what a site does not track is not there.
        let total = |key: &str| total.split(',').find_map(|entry| entry.strip_prefix(key)?.strip_prefix('='));
        Some(Request {
            id: id.parse().ok()?,
            nodes: number(nodes)?.max(1),
            tasks: number(tasks)?.max(1),
            eligible: since.parse().ok(),
            group: group.parse().ok().filter(|group| *group > 0),
            cpus: total("cpu").and_then(number).or_else(|| number(cpus))?,
            memory_mib: total("mem").and_then(mib).unwrap_or_default(),
            whole: !shared,
            tres: [job, node, socket, task].map(|field| word(field).to_owned()),
            features: word(features).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_has_its_throttle() {
        for (text, due) in [
            ("0-9%2", Some((10, Some(2)))),
            ("0-9%0", Some((10, None))),
            ("1-399:2", Some((200, None))),
            ("0-9%x", None),
            ("N/A", None),
        ] {
            assert_eq!(elements(text), due, "{text}");
        }
    }

    #[test]
    fn what_a_user_wrote_spoils_what_stands_behind_it() {
        let line = |rest: &str| {
            format!("7|1000|PD|7_[0-3%2]|7|0-3%2|N/A|10:00|4294901758|Resources||gpu,debug|{rest}\n")
        };
        let (jobs, unread) =
            Queued::parse(&(line("n1||night|ada") + &line("n1||a|b|ada") + "x\n\n"), usize::MAX);
        assert_eq!((jobs.len(), unread), (2, 2));
        assert_eq!(jobs[0].elements, Some((4, Some(2))));
        assert_eq!(jobs[0].partitions, ["gpu", "debug"]);
        let place = Place { required: "n1".into(), excluded: String::new(), reservation: "night".into() };
        assert_eq!((&jobs[0].place, jobs[0].listing.login.as_str()), (&Some(place), "ada"));
        assert_eq!((&jobs[1].place, jobs[1].reason.as_str(), jobs[1].waits()), (&None, "Resources", true));
    }

    #[test]
    fn a_request_keeps_its_features_whole() {
        let text = "8|2-4|4|4|1795743367|N/A|cpu=4,mem=7.81G,node=2,billing=4||OK|N/A|gres:gpu:3g.20gb:1|N/A|N/A|a|b|\n\
                    9|1|1|1|Unknown|12|billing=1|NODE|NO|gres/gpu:2|N/A|N/A|N/A|(null)|\nx|\n9|1|1|1|0|N/A|cpu=1||OK|N/A|N/A|\n";
        let requests = Request::parse(text);
        assert_eq!(requests.len(), 2);
        assert_eq!((requests[0].nodes, requests[0].cpus, requests[0].memory_mib), (2, 4, 7998));
        assert_eq!(
            (requests[0].features.as_str(), requests[0].tres[1].as_str()),
            ("a|b", "gres:gpu:3g.20gb:1")
        );
        assert_eq!(requests.iter().map(|request| request.whole).collect::<Vec<_>>(), [false, true]);
        assert_eq!((requests[1].group, requests[1].eligible, requests[1].cpus), (Some(12), None, 1));
    }
}
