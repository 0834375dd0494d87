//! The engine beside schedules worked out by hand, and beside a scheduler that does everything the long way.

use std::cmp::Reverse;

use proptest::prelude::*;
use replay::{Cluster, Job, Shift, Start, replay};

fn job(submit: u32, run: u32, limit: u32, count: u32, nodes: u32) -> Job {
    Job { submit, run, limit, priority: 0, pool: 0, count, nodes }
}

fn starts(cluster: &Cluster, shifts: &[Shift], jobs: &[Job]) -> Vec<Start> {
    let mut starts = vec![Start::Never; jobs.len()];
    let mut heard = vec![0; jobs.len()];
    replay(cluster, shifts, jobs.iter().copied(), |index, job, start| {
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
    let short = [first[0], first[1], job(2, 90, 98, 1, 1)];
    assert_eq!(starts(&one_pool(&[2]), &[], &short), at(&[0, 100, 2]));
    let long = [first[0], first[1], job(2, 90, 99, 1, 1)];
    assert_eq!(starts(&one_pool(&[2]), &[], &long), at(&[0, 100, 110]));
    // It delays nobody on a GPU that the first does not need.
    assert_eq!(starts(&one_pool(&[3]), &[], &[first[0], job(1, 10, 10, 3, 1), long[2]])[2], Start::At(110));
    assert_eq!(starts(&one_pool(&[2, 1]), &[], &long), at(&[0, 100, 2]));
}

#[test]
fn priority_goes_before_submission_and_pools_do_not_hinder_each_other() {
    let cluster = Cluster { pools: vec![vec![1], vec![1]] };
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
fn by_seconds(slots: &[u32], jobs: &[Job]) -> Vec<Start> {
    struct Running {
        end: u32,
        due: u32,
        count: u32,
        node: usize,
    }
    let mut starts = vec![Start::Never; jobs.len()];
    let mut running: Vec<Running> = Vec::new();
    let possible = |job: &Job| slots.iter().filter(|s| **s >= job.count).count() >= job.nodes as usize;
    let mut now = 0;
    while (0..jobs.len()).any(|i| possible(&jobs[i]) && starts[i] == Start::Never) {
        let before = running.len();
        running.retain(|r| r.end > now);
        if running.len() == before && jobs.iter().all(|job| job.submit != now) {
            now += 1;
            continue;
        }
        let free = |running: &[Running], node: usize, then: u32| {
            let taken = running.iter().filter(|r| r.node == node && (then == now || r.due.max(now) > then));
            slots[node] - taken.map(|r| r.count).sum::<u32>()
        };
        let mut order: Vec<usize> = (0..jobs.len())
            .filter(|&i| jobs[i].submit <= now && possible(&jobs[i]) && starts[i] == Start::Never)
            .collect();
        order.sort_by_key(|&i| (Reverse(jobs[i].priority), i));
        let mut reserved: Option<(u32, Vec<usize>, u32)> = None;
        for i in order {
            let Job { count, nodes, limit, run, .. } = jobs[i];
            let fit = |node: &usize| {
                let keeps = reserved.as_ref().is_none_or(|(then, on, needs)| {
                    !on.contains(node)
                        || now + limit <= *then
                        || free(&running, *node, *then) >= needs + count
                });
                free(&running, *node, now) >= count && keeps
            };
            let chosen: Vec<usize> = (0..slots.len()).filter(fit).take(nodes as usize).collect();
            if chosen.len() == nodes as usize {
                starts[i] = Start::At(now);
                running.extend(chosen.iter().map(|&node| Running {
                    end: now + run,
                    due: now + limit,
                    count,
                    node,
                }));
            } else if reserved.is_none() {
                let first = |node: usize| (now..).find(|&then| free(&running, node, then) >= count);
                let able = (0..slots.len()).filter(|&node| slots[node] >= count);
                let mut ready: Vec<(u32, usize)> =
                    able.filter_map(|node| Some((first(node)?, node))).collect();
                ready.sort_unstable();
                ready.truncate(nodes as usize);
                let then = ready.last().map_or(now, |(then, _)| *then);
                reserved = Some((then, ready.into_iter().map(|(_, node)| node).collect(), count));
            }
        }
        now += 1;
    }
    starts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn it_schedules_as_one_that_looks_at_every_second(
        slots in prop::collection::vec(1u32..=4, 1..=3),
        jobs in prop::collection::vec((0u32..30, 1u32..20, 0u32..10, 1u32..=4, 1u32..=2, 0u32..=1), 1..40),
    ) {
        let mut jobs: Vec<Job> = jobs
            .into_iter()
            .map(|(submit, run, more, count, nodes, priority)| Job {
                submit, run, limit: run + more, priority, pool: 0, count, nodes,
            })
            .collect();
        jobs.sort_by_key(|job| job.submit);
        prop_assert_eq!(starts(&one_pool(&slots), &[], &jobs), by_seconds(&slots, &jobs));
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
