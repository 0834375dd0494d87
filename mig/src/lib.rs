//! Pure model of NVIDIA Multi-Instance GPU (MIG): values in, values out.
//!
//! * [`profile`] is the grammar of profile names (`1c.3g.20gb+me`).
//! * [`geometry`] says what one physical GPU can be cut into and which instances exclude each other.
//! * [`boards`] is that geometry for every GPU model known without a driver.
//! * [`plan`](mod@plan) finds the one best change from what a node has to what is wanted.
//!
//! Nothing here performs I/O, reads a clock or knows NVML handles.
#![forbid(unsafe_code)]

pub mod boards;
pub mod geometry;
pub mod plan;
pub mod profile;

pub use boards::{Architecture, BOARDS, Board};
pub use geometry::{ComputeSpec, Engines, Geometry, Placed, Spec};
pub use plan::{Cost, Demand, Goal, GpuState, Infeasible, Plan, Want, plan};
pub use profile::{Attribute, Profile, ProfileError};
