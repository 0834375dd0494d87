//! gresgen.
