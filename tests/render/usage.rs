//! What a real slurmdbd makes of slices beyond what a job is billed: shares, limits, reservations.

use std::collections::BTreeMap;

use lab::{Lab, Release, User};

/// Usage that does not decay is a whole number to compare with.
pub(crate) const SLURM_CONF: &str = "\
PriorityType=priority/multifactor
PriorityWeightFairshare=10000
PriorityDecayHalfLife=0
PriorityUsageResetPeriod=NONE
";

fn done(lab: &Lab, script: &str) -> String {
    lab.run(&["sh", "-c", script]).unwrap().stdout
}

/// One account of sshare.
#[derive(Debug)]
struct Share {
    shares: f64,
    usage: f64,
    norm_shares: f64,
    effective_usage: f64,
    fair_share: String,
    level: String,
}

fn shares(lab: &Lab) -> BTreeMap<(String, String), Share> {
    let text = done(
        lab,
        "sshare -a -n -P -o Account,User,RawShares,RawUsage,NormShares,EffectvUsage,FairShare,LevelFS",
    );
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim().split('|').map(str::trim).collect();
        let [account, user, shares, usage, norm_shares, effective_usage, fair_share, level] = cells[..]
        else {
            panic!("{line:?}")
        };
        let number = |text: &str| text.parse().unwrap_or(f64::NAN);
        let share = Share {
            shares: number(shares),
            usage: number(usage),
            norm_shares: number(norm_shares),
            effective_usage: number(effective_usage),
            fair_share: fair_share.to_owned(),
            level: level.to_owned(),
        };
        ((account.to_owned(), user.to_owned()), share)
    };
    text.lines().map(row).collect()
}

/// Usage is billing by seconds, and a share what Slurm documents of Fair Tree, its default (fair_tree.html, "The Level FS
/// Equation", "Algorithm"): `LevelFS = S / U`, S the part of the shares and U that of the usage which an account has among its
/// siblings; users are ranked by it, and the factor is the rank by the number of users.
pub(crate) fn shares_are_those_of_the_formula(lab: &Lab, partition: &str, weights: &BTreeMap<String, f64>) {
    let release = lab.release();
    done(
        lab,
        "sacctmgr -i modify account physics set fairshare=2 && sacctmgr -i add account biology Cluster=lab fairshare=1 && \
         sacctmgr -i add user alice Account=biology Cluster=lab",
    );
    let mut wanted: BTreeMap<&str, f64> = BTreeMap::new();
    for (account, kind, seconds) in
        [("physics", "a100_3g.20gb", 4), ("biology", "h100", 3), ("biology", "h100_2g.20gb", 2)]
    {
        let arguments = ["-p", partition, "-A", account, "-J", "shares", &format!("--gres=gpu:{kind}:1")];
        let job = lab.sbatch(User::Alice, &arguments, &format!("sleep {seconds}")).unwrap();
        assert_eq!(lab.wait_job(job).unwrap().state, "COMPLETED", "{release}");
        let command = format!("sacct -X -n -P -j {job} -s CD -o ElapsedRaw");
        let elapsed = lab
            .wait("the job in the database", || {
                Ok(lab.run(&["sh", "-c", &command])?.stdout.trim().parse::<f64>().ok())
            })
            .unwrap();
        *wanted.entry(account).or_default() += weights[kind] * elapsed;
    }
    // What is worked out every PriorityCalcPeriod is worked out at a start, too.
    lab.restart_slurmctld().unwrap();
    let of = |name: &str, user: &str| (name.to_owned(), user.to_owned());
    let found = lab
        .wait("slurmctld to work shares out", || {
            let found = shares(lab);
            let ready = found
                .get(&of("biology", ""))
                .is_some_and(|share| share.level.parse::<f64>().is_ok_and(|l| l > 0.0));
            Ok(ready.then_some(found))
        })
        .unwrap();
    for (account, usage) in &wanted {
        assert_eq!(found[&of(account, "")].usage, *usage, "{release}: {account}: {found:#?}");
    }
    // sshare cuts usage off at whole numbers and works with all of it.
    // The siblings: both accounts, and the user root of the account root.
    let siblings = [of("biology", ""), of("physics", ""), of("root", "root")];
    let total = |value: fn(&Share) -> f64| siblings.iter().map(|name| value(&found[name])).sum::<f64>();
    let (all_shares, all_usage) = (total(|share| share.shares), total(|share| share.usage));
    let near = |text: &str, value: f64| {
        text.parse::<f64>().is_ok_and(|got| got == value || (got - value).abs() <= 2e-3 * value.max(1.0))
    };
    let mut ranked: Vec<(f64, String)> = Vec::new();
    for name in &siblings {
        let share = &found[name];
        let (s, u) = (share.shares / all_shares, share.usage / all_usage);
        assert!(near(&share.norm_shares.to_string(), s), "{release}: {name:?}: {found:#?}");
        assert!(near(&share.effective_usage.to_string(), u), "{release}: {name:?}: {found:#?}");
        assert!(
            near(&share.level, s / u),
            "{release}: {name:?}: {} is not {}: {found:#?}",
            share.level,
            s / u
        );
        let user = if name.1.is_empty() { of(&name.0, "alice") } else { name.clone() };
        ranked.push((s / u, found[&user].fair_share.clone()));
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (rank, (_, factor)) in ranked.iter().enumerate() {
        assert!(near(factor, (3 - rank) as f64 / 3.0), "{release}: {ranked:?}");
    }
}

/// slurm.conf(5) and sacctmgr(1): `MaxTRESPerUser` of a QOS, here for a type.
pub(crate) fn a_user_has_so_many_slices_of_a_type(lab: &Lab, kind: &str) {
    done(
        lab,
        &format!(
            "sacctmgr -i add qos slices MaxTRESPU=gres/gpu:{kind}=1 && sacctmgr -i modify user alice set qos+=slices"
        ),
    );
    let gres = format!("--gres=gpu:{kind}:1");
    let submit =
        |qos: &str| lab.sbatch(User::Alice, &["-A", "physics", qos, &gres], "exec sleep 60").unwrap();
    let (first, second) = (submit("--qos=slices"), submit("--qos=slices"));
    let reason = |job| done(lab, &format!("squeue -h -j {job} -o '%T %r'"));
    lab.wait("the limit to hold the second", || {
        Ok((reason(second).trim() == "PENDING QOSMaxGRESPerUser").then_some(()))
    })
    .unwrap();
    assert!(reason(first).starts_with("RUNNING"), "{}: {}", lab.release(), reason(first));
    // It is the limit that holds it, not the lack of a device.
    let third = submit("--qos=normal");
    lab.wait("another QOS to have the second device", || {
        Ok(reason(third).starts_with("RUNNING").then_some(()))
    })
    .unwrap();
    done(lab, "scancel -u alice; while squeue -h | grep -q .; do sleep 0.1; done");
}

/// From 23.11 (RELEASE_NOTES) a reservation takes TRES of the cluster. On 24.11.5 a node's other slice went to nobody else either, with
/// `CoreCnt=2` as without.
pub(crate) fn a_reservation_keeps_slices(lab: &Lab, kind: &str) {
    let release = lab.release();
    let create = format!(
        "scontrol create reservation ReservationName=course StartTime=now Duration=10 Users=root NodeCnt=1 TRESPerNode=gres/gpu:{kind}=1"
    );
    let created = lab.command(&["sh", "-c", &create]).output().unwrap();
    if release == Release::Bookworm {
        assert!(!created.success(), "{created:?}");
        return;
    }
    assert!(created.success(), "{release}: {created:?}");
    let runs = |user: User, count: u32, more: &[&str]| {
        let gres = format!("--gres=gpu:{kind}:{count}");
        let command = [&["srun", "--immediate=4", &gres], more, &["true"]].concat();
        lab.command(&command).user(user).output().unwrap().success()
    };
    assert!(!runs(User::Alice, 2, &["-A", "physics"]), "{release}: one is reserved");
    assert!(runs(User::Root, 1, &["--reservation=course"]), "{release}: it is reserved for root");
    done(lab, "scontrol delete ReservationName=course");
    assert!(runs(User::Alice, 2, &["-A", "physics"]), "{release}: none is reserved any longer");
}
