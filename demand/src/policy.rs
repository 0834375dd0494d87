//! How patient and how restless decisions may be.

/// What a site chooses. All times are in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// A job that has waited less is not served: Slurm has hardly looked at it.
    pub patience: u64,
    /// A job that has waited so long and for which no region is idle gets a cordon.
    pub cordon_after: u64,
    /// A region that will be free later than this is held only for a job that has waited as long.
    pub reach: u64,
    /// So much sooner another region has to fall idle for a cordon to move there.
    pub margin: u64,
    /// A slice that was made so recently stays for the job that can have it, whoever else waits.
    pub dwell: u64,
    /// A job that Slurm has not started within this time, though its slices were there, keeps them from nobody.
    pub grace: u64,
    /// A GPU goes back to its default cut when it has been idle for so long.
    pub linger: u64,
    /// Cuts of a node in an hour, at most.
    pub cuts_per_hour: u32,
    /// Whether idle instances are closed while better ones of their profile are open, so that Slurm takes those.
    pub steer: bool,
    /// Different requests for which regions are looked for, in Slurm's order.
    pub depth: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            patience: 2,
            cordon_after: 120,
            reach: 3600,
            margin: 60,
            dwell: 60,
            grace: 90,
            linger: 3600,
            cuts_per_hour: 120,
            steer: false,
            depth: 64,
        }
    }
}
