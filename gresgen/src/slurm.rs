//! The Slurm side: names, order, releases, and what a change asks of the daemons.
//!
//! [`gres`] is the only place that orders records; everything written and every index comes from its table.

pub(crate) mod attributes;
pub mod billing;
pub(crate) mod closed;
pub(crate) mod conf;
pub mod control;
mod duration;
mod error;
pub(crate) mod gres;
pub mod gres_line;
pub mod hardware;
pub(crate) mod here;
pub mod hostlist;
pub(crate) mod include;
pub(crate) mod job_devices;
pub(crate) mod jobs;
pub mod lines;
pub mod links;
pub mod names;
pub(crate) mod plugin_arguments;
pub mod plugstack;
pub mod release;
pub mod settings;
pub(crate) mod shortfall;
pub mod slots;
pub mod transition;

pub(crate) use duration::duration;
pub use error::{GresError, SlurmError};
pub use gres::{GresTable, PreviousOrder};
pub use names::{Names, TypeName, type_hash};
pub use release::Release;
pub use settings::Settings;
