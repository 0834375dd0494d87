//! What is rendered for a corpus of nodes, and whether Slurm reads it as we do.
//!
//! `nodes/*.yaml` describes nodes from the tables of boards; `fixture` builds their inventories. The judges are
//! the slurmd, and whole clusters, of the releases in `LAB_RELEASES`.

mod billing;
mod cgroup;
mod check;
mod cli;
mod corpus;
mod demand;
mod document;
mod errors;
mod faults;
#[path = "../shared/fetched.rs"]
#[allow(dead_code, reason = "no judge here comes from PyPI")]
mod fetched;
mod fixture;
mod gres_line;
mod host;
mod hostlist;
mod judge;
mod live;
mod node;
#[path = "../shared/plain.rs"]
mod plain;
mod slices;
mod submit;
mod usage;
mod users;
