//! More than one at a time: two applies, and a signal in the middle of one.
