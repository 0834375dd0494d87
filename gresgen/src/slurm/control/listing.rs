//! Jobs as `squeue` lists them: what slurmctld says itself, and nothing that a user writes.

/// One job on a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What to ask `scontrol show job` for this job alone: `7`, `1_2` for a task of an array, `12+1` for a part of a
    /// heterogeneous job.
    pub query: String,
    pub id: u32,
    pub uid: u32,
    /// State in squeue's short form.
    pub state: String,
    /// Login name as squeue finds it, which is a number where it finds none.
    pub login: String,
}

/// States of jobs that have no devices: never started, or ended. A job that still ends shows as `CG`, whatever else it
/// is, and a state that is not known here holds (`job_state_string_compact`, src/common/slurm_protocol_defs.c).
const WITHOUT: [&str; 11] = ["PD", "CD", "CA", "F", "TO", "NF", "PR", "BF", "DL", "OOM", "RV"];

impl Listing {
    /// For `squeue -o`. The login name comes last: it is a directory service's, whose words are not known here.
    pub const FORMAT: &'static str = "%i|%A|%U|%t|%u";

    /// Reads what squeue printed, or gives the line that cannot be read.
    pub fn parse(text: &str) -> Result<Vec<Self>, String> {
        text.lines().map(|line| Self::parse_line(line).ok_or_else(|| line.to_owned())).collect()
    }

    fn parse_line(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.splitn(5, '|').collect();
        let [query, id, uid, state, login] = fields[..] else { return None };
        let id = id.parse().ok()?;
        // What waits of an array has another form, `1_[4-9]`; it has no devices.
        let single = query.chars().all(|c| c.is_ascii_digit() || "_+".contains(c));
        Some(Listing {
            query: if single && !query.is_empty() { query.to_owned() } else { format!("{id}") },
            id,
            uid: uid.parse().ok()?,
            state: state.trim().to_owned(),
            login: login.trim().to_owned(),
        })
    }

    /// Whether it has ended but for its last task or its Epilog.
    pub fn ends(&self) -> bool {
        self.state == "CG"
    }

    /// Whether a job in its state can have devices.
    pub fn may_hold(&self) -> bool {
        !WITHOUT.contains(&self.state.as_str())
    }
}
