//! The engine beside schedules worked out by hand, and beside a scheduler that does everything the long way.

use std::cmp::Reverse;

use proptest::prelude::*;
use replay::{Cluster, Job, Rules, Shift, Start, replay};

/// Plans to the second, at every event.
const EXACT: Rules = Rules { interval: 0, depth: 500, window: 1000, resolution: 1, reserve: 0 };

fn job(submit: u32, run: u32, limit: u32, count: u32, nodes: u32) -> Job {
    Job { submit, run, limit, priority: 0, pool: 0, count, nodes }
}

fn starts(cluster: &Cluster, shifts: &[Shift], jobs: &[Job]) -> Vec<Start> {
    starts_by(EXACT, cluster, shifts, jobs)
}

fn starts_by(rules: Rules, cluster: &Cluster, shifts: &[Shift], jobs: &[Job]) -> Vec<Start> {
    let mut starts = vec![Start::Never; jobs.len()];
    let mut heard = vec![0; jobs.len()];
    replay(cluster, rules, shifts, jobs.iter().copied(), |index, job, start| {
        assert_eq!(*job, jobs[index as usize]);
        starts[index as usize] = start;
        heard[index as usize] += 1;
    });
    assert!(heard.iter().all(|times| *times == 1), "{heard:?}");
    starts
}

fn at(seconds: &[u32]) -> Vec<Start> {
    seconds.iter().map(|&s| Start::At(s)).collect()
}

fn one_pool(slots: &[u32]) -> Cluster {
    Cluster { pools: vec![slots.to_vec()] }
}

#[test]
fn jobs_start_in_turn() {
    let jobs = [job(0, 10, 10, 1, 1), job(1, 10, 10, 1, 1), job(2, 5, 10, 1, 1), job(3, 5, 10, 1, 1)];
    assert_eq!(starts(&one_pool(&[2]), &[], &jobs), at(&[0, 1, 10, 11]));
}

#[test]
fn a_short_job_passes_one_that_waits_and_a_long_one_does_not() {
    // Two GPUs free at 100; until then one is idle.
    let first = [job(0, 100, 100, 1, 1), job(1, 10, 10, 2, 1)];
    let short = [first[0], first[1], job(2, 90, 97, 1, 1)];
    assert_eq!(starts(&one_pool(&[2]), &[], &short), at(&[0, 100, 2]));
    // Slurm counts a plan that begins just as the job is due to end as one in the way.
    let long = [first[0], first[1], job(2, 90, 98, 1, 1)];
    assert_eq!(starts(&one_pool(&[2]), &[], &long), at(&[0, 100, 110]));
    // On a node that the first will not use it delays nobody.
    assert_eq!(starts(&one_pool(&[2, 1]), &[], &long), at(&[0, 100, 2]));
}

#[test]
fn a_node_with_a_plan_is_kept_whole() {
    let cluster = Cluster { pools: vec![vec![1], vec![7]] };
    let slice = |submit, limit| Job { pool: 1, ..job(submit, 5, limit, 1, 1) };
    // A whole GPU is waited for until 100; slices of the node are free all the time.
    let jobs = [job(0, 100, 100, 1, 1), job(1, 10, 10, 1, 1), slice(2, 97), slice(3, 97)];
    assert_eq!(starts(&cluster, &[], &jobs), at(&[0, 100, 2, 100]));
    let apart = Cluster { pools: vec![vec![1, 0], vec![0, 7]] };
    assert_eq!(starts(&apart, &[], &jobs), at(&[0, 100, 2, 3]));
}

#[test]
fn backfill_comes_at_its_interval_and_looks_so_deep_and_so_far() {
    let jobs = [
        job(0, 100, 100, 1, 1),
        job(1, 10, 10, 3, 1),
        job(2, 10, 10, 1, 1),
        job(3, 30, 300, 1, 1),
        job(4, 10, 10, 1, 1),
    ];
    let starts = |rules| starts_by(rules, &one_pool(&[3]), &[], &jobs);
    assert_eq!(starts(EXACT), at(&[0, 100, 2, 110, 4]));
    assert_eq!(starts(Rules { interval: 30, ..EXACT }), at(&[0, 100, 30, 110, 30]));
    assert_eq!(starts(Rules { depth: 2, ..EXACT }), at(&[0, 100, 2, 110, 110]));
    // What is too far away is not planned, and delayed.
    assert_eq!(starts(Rules { window: 50, ..EXACT }), at(&[0, 100, 2, 3, 12]));
    // Rounded down, the plan begins at 60, when the second of the short jobs would still run.
    let rounded = Rules { resolution: 60, ..EXACT };
    let late = [jobs[0], jobs[1], job(2, 10, 57, 1, 1), job(3, 10, 57, 1, 1)];
    assert_eq!(starts_by(rounded, &one_pool(&[3]), &[], &late), at(&[0, 100, 2, 110]));
}

#[test]
fn priority_goes_before_submission_and_nodes_apart_do_not_hinder_each_other() {
    let cluster = Cluster { pools: vec![vec![1, 0], vec![0, 1]] };
    let urgent = Job { priority: 5, ..job(2, 10, 10, 1, 1) };
    let other = Job { pool: 1, ..job(3, 10, 10, 1, 1) };
    let jobs = [job(0, 10, 10, 1, 1), job(1, 10, 10, 1, 1), urgent, other];
    assert_eq!(starts(&cluster, &[], &jobs), at(&[0, 20, 10, 3]));
}

#[test]
fn what_no_node_has_never_starts() {
    let jobs = [job(0, 1, 1, 3, 1), job(0, 1, 1, 2, 2), job(0, 1, 1, 1, 3), job(0, 1, 1, 2, 1)];
    let never = Start::Never;
    assert_eq!(starts(&one_pool(&[2, 1]), &[], &jobs), [never, never, never, Start::At(0)]);
}

#[test]
fn a_node_that_is_recut_waits_for_its_jobs_and_takes_none_meanwhile() {
    let cluster = Cluster { pools: vec![vec![2], vec![0]] };
    let shift = Shift { at: 10, node: 0, slots: vec![0, 7], takes: 5 };
    let slice = |submit| Job { pool: 1, ..job(submit, 1, 1, 1, 1) };
    let jobs = [job(0, 30, 60, 1, 1), job(5, 1, 1, 1, 1), slice(6), job(20, 1, 1, 1, 1)];
    let [a, b, c] = [Start::At(0), Start::At(5), Start::At(35)];
    assert_eq!(starts(&cluster, std::slice::from_ref(&shift), &jobs), [a, b, c, Start::Never]);
    // And back: the whole GPU's job runs then.
    let back = Shift { at: 40, node: 0, slots: vec![2, 0], takes: 5 };
    assert_eq!(starts(&cluster, &[shift, back], &jobs)[3], Start::At(45));
}

/// The same rules, looking at every second, every node and every job anew whenever a job comes or goes.
fn by_seconds(reserve: u32, pools: &[Vec<u32>], jobs: &[Job]) -> Vec<Start> {
    struct Running {
        job: usize,
        end: u32,
        due: u32,
        node: usize,
    }
    let mut starts = vec![Start::Never; jobs.len()];
    let mut running: Vec<Running> = Vec::new();
    let slots = |job: &Job| &pools[usize::from(job.pool)];
    let possible = |job: &Job| slots(job).iter().filter(|s| **s >= job.count).count() >= job.nodes as usize;
    let mut now = 0;
    while (0..jobs.len()).any(|i| possible(&jobs[i]) && starts[i] == Start::Never) {
        let before = running.len();
        running.retain(|r| r.end > now);
        if running.len() == before && jobs.iter().all(|job| job.submit != now) {
            now += 1;
            continue;
        }
        let mut order: Vec<usize> = (0..jobs.len())
            .filter(|&i| jobs[i].submit <= now && possible(&jobs[i]) && starts[i] == Start::Never)
            .collect();
        order.sort_by_key(|&i| (Reverse(jobs[i].priority), i));
        let mut plans: Vec<(usize, u32, u32)> = Vec::new();
        let mut planned = 0;
        for i in order {
            let job = &jobs[i];
            let nodes_at = |then: u32, plans: &[(usize, u32, u32)]| -> Vec<usize> {
                let taken = |r: &&Running, node: usize| {
                    r.node == node && jobs[r.job].pool == job.pool && (then == now || r.due > then)
                };
                let free = |node: usize| {
                    let taken = running.iter().filter(|r| taken(r, node)).map(|r| jobs[r.job].count);
                    slots(job)[node] - taken.sum::<u32>()
                };
                let kept = |node: usize| {
                    plans.iter().any(|&(n, from, to)| n == node && from <= then + job.limit && to > then)
                };
                let able = (0..slots(job).len()).filter(|&n| free(n) >= job.count && !kept(n));
                able.take(job.nodes as usize).collect()
            };
            let chosen = nodes_at(now, &plans);
            if chosen.len() == job.nodes as usize {
                starts[i] = Start::At(now);
                let (end, due) = (now + job.run, now + job.limit);
                running.extend(chosen.into_iter().map(|node| Running { job: i, end, due, node }));
                continue;
            }
            if reserve > 0 && planned == reserve {
                continue;
            }
            planned += 1;
            let mut times = (now + 1..).map(|then| (then, nodes_at(then, &plans)));
            let Some((then, on)) = times.find(|(_, on)| on.len() == job.nodes as usize) else { continue };
            plans.extend(on.into_iter().map(|node| (node, then, then + job.limit)));
        }
        now += 1;
    }
    starts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn it_schedules_as_one_that_looks_at_every_second(
        reserve in 0u32..3,
        slots in prop::collection::vec((0u32..=4, 0u32..=4), 1..=3),
        jobs in prop::collection::vec(
            (0u32..30, 1u32..20, 0u32..10, 1u32..=4, 1u32..=2, 0u32..=1, 0u16..2), 1..40,
        ),
    ) {
        let mut jobs: Vec<Job> = jobs
            .into_iter()
            .map(|(submit, run, more, count, nodes, priority, pool)| Job {
                submit, run, limit: run + more, priority, pool, count, nodes,
            })
            .collect();
        jobs.sort_by_key(|job| job.submit);
        let (a, b) = slots.into_iter().unzip();
        let cluster = Cluster { pools: vec![a, b] };
        let rules = Rules { reserve, ..EXACT };
        prop_assert_eq!(starts_by(rules, &cluster, &[], &jobs), by_seconds(reserve, &cluster.pools, &jobs));
    }

    #[test]
    fn no_slot_is_given_twice_while_nodes_are_recut(
        jobs in prop::collection::vec((0u32..60, 1u32..30, 1u32..40, 1u32..=2, 0u16..2), 1..60),
        shifts in prop::collection::vec((0u32..60, 0usize..3, 0u32..=4, 0u32..=4), 0..6),
    ) {
        let cluster = Cluster { pools: vec![vec![2, 2, 2], vec![0, 3, 4]] };
        let mut jobs: Vec<Job> = jobs.into_iter()
            .map(|(submit, run, limit, count, pool)| Job { pool, ..job(submit, run, limit, count, 1) })
            .collect();
        jobs.sort_by_key(|job| job.submit);
        let mut shifts: Vec<Shift> = shifts.into_iter()
            .map(|(at, node, a, b)| Shift { at, node, slots: vec![a, b], takes: 3 })
            .collect();
        shifts.sort_by_key(|shift| shift.at);
        let most = |pool: usize| {
            let of = |node: usize| {
                let later = shifts.iter().filter(|s| s.node == node).map(|s| s.slots[pool]);
                later.chain([cluster.pools[pool][node]]).max().unwrap()
            };
            (0..3).map(of).sum::<u32>()
        };
        let starts = starts(&cluster, &shifts, &jobs);
        for (pool, now) in (0..2).flat_map(|pool| (0..200).map(move |now| (pool, now))) {
            let taken = jobs.iter().zip(&starts).filter(|(job, start)| match start {
                Start::At(at) => job.pool == pool && *at <= now && now < at + job.run,
                Start::Never => false,
            });
            prop_assert!(taken.map(|(job, _)| job.count).sum::<u32>() <= most(usize::from(pool)));
        }
        for (job, start) in jobs.iter().zip(&starts) {
            prop_assert!(matches!(start, Start::Never) || matches!(start, Start::At(at) if *at >= job.submit));
        }
    }
}
