//! The Slurm side: names, order, releases, and what a change asks of the daemons.
//!
//! [`gres`] is the only place that orders records; everything written and every index comes from its table.

pub mod attributes;
pub mod billing;
pub mod conf;
pub mod control;
mod error;
pub mod gres;
pub mod gres_line;
pub mod hardware;
pub mod here;
pub mod hostlist;
pub mod include;
pub mod job_devices;
pub mod jobs;
pub mod lines;
pub mod links;
pub mod names;
pub mod plugin_arguments;
pub mod plugstack;
pub mod release;
pub mod settings;
pub mod shortfall;
pub mod slots;
pub mod transition;

pub use error::{GresError, SlurmError};
pub use gres::{GresTable, Previous};
pub use names::{Names, TypeName, type_hash};
pub use release::Release;
pub use settings::Settings;
