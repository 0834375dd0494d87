//! Plans on examples, on random nodes, and beside a search that tries everything.

mod common;
mod exhaustive;
mod planner;
mod properties;
