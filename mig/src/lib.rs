//! Pure model of NVIDIA Multi-Instance GPU (MIG): values in, values out.
//!
//! * [`profile`] is the grammar of profile names (`1c.3g.20gb+me`).
//! * [`geometry`] says what one physical GPU can be cut into and which instances exclude each other.
//! * [`boards`] is that geometry for every GPU model known without a driver.
//! * [`goal`] is what is asked: GPUs as they are, and what sets of them shall hold.
//! * [`plan`](mod@plan) finds the one best change from what a node has to what is wanted.
//! * [`shortage`] says why there is none, and what could be had instead.
//! * [`room`](mod@room) counts what still fits.
//!
//! Nothing here performs I/O, reads a clock or knows NVML handles.
#![forbid(unsafe_code)]

pub mod boards;
mod counts_map;
mod fold;
pub mod geometry;
pub mod goal;
mod lanes;
mod nearest;
mod options;
pub mod plan;
pub mod profile;
pub mod room;
pub mod shortage;

pub use boards::{Architecture, BOARDS, Board, Certainty};
pub use geometry::{ComputeSpec, Geometry, Placement, Spec};
pub use goal::{Demand, Goal, GpuState, Want};
pub use plan::{Cost, Plan, plan};
pub use profile::{Attribute, Profile, ProfileError};
pub use room::{counts, possible, room};
pub use shortage::{Blocker, Infeasible, Nearest, Reason};
