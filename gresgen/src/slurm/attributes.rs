//! What a NodeName line says about a node beside `Gres=`, compared with what slurmctld works with.

/// Keys of a NodeName line (slurm.conf(5)) in lower case, with those that `scontrol show node` has for them. Only
/// what is printed as it was configured: addresses are resolved, and states change.
const KEYS: [(&str, &str); 9] = [
    ("cpus", "CPUTot"),
    ("procs", "CPUTot"),
    ("realmemory", "RealMemory"),
    ("tmpdisk", "TmpDisk"),
    ("weight", "Weight"),
    ("boards", "Boards"),
    ("sockets", "Sockets"),
    ("corespersocket", "CoresPerSocket"),
    ("threadspercore", "ThreadsPerCore"),
];

/// Attributes of a line that slurmctld has otherwise, as `CPUs=64 (slurmctld has 32)`. `shown` is what `scontrol -o
/// show node` prints; what it does not print is not compared.
pub(crate) fn differing(attributes: &str, shown: &str) -> Vec<String> {
    let differs = |word: &str| {
        let (key, wanted) = word.split_once('=')?;
        let (_, name) = KEYS.iter().find(|(known, _)| key.eq_ignore_ascii_case(known))?;
        // Values with a suffix or in another base are not printed as they were written.
        let wanted: u64 = wanted.parse().ok()?;
        let has = shown.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))?;
        (has.parse() != Ok(wanted)).then(|| format!("{word} (slurmctld has {has})"))
    };
    attributes.split_whitespace().filter_map(differs).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_printed_as_configured_is_compared() {
        // Of scontrol 24.11.5.
        let shown = "NodeName=n1 Arch=x86_64 CoresPerSocket=1 CPUAlloc=0 CPUEfctv=32 CPUTot=32 CPULoad=0.10 \
                     RealMemory=4000 AllocMem=0 Sockets=32 Boards=1 State=IDLE ThreadsPerCore=1 TmpDisk=0 Weight=1";
        let differing = |line: &str| differing(line, shown);
        let none = [""; 0];
        assert_eq!(differing("NodeAddr=10.0.0.1 cpus=32 RealMemory=4000 Weight=1 Feature=a"), none);
        assert_eq!(
            differing("CPUs=64 RealMemory=4000 Weight=5"),
            ["CPUs=64 (slurmctld has 32)", "Weight=5 (slurmctld has 1)"]
        );
        assert_eq!(differing("RealMemory=4G"), none);
    }
}
