//! Jobs that slurmctld holds since nothing was open of what they name.

use super::*;
use crate::slurm::control::Place;

/// Jobs 3, which wants this, and 6, which wants a 1g of a whole node, name a node and are held.
fn held(wants: &str, required: &str, now: u64) -> Answers {
    let mut answers = at(now);
    for job in answers.queued.iter_mut().filter(|job| [3, 6].contains(&job.listing.id)) {
        (job.reason, job.priority) = ("BadConstraints".into(), 0);
        job.place = Some(Place { required: required.into(), ..Place::default() });
    }
    let request = answers.requests.iter_mut().find(|request| request.id == 3).unwrap();
    request.tres[1] = format!("gres/gpu:{wants}:1");
    // Those before them have all that could be cut.
    answers.queued.retain(|job| [1, 2, 3, 6].contains(&job.listing.id));
    answers
}

fn step_with(answers: Answers, recall: &Recall) -> Step {
    let config = Config::parse("c", CONFIG).unwrap();
    let names = Names::new(&config.slurm.types).unwrap();
    let layout = Some((&config, "first"));
    let policy = Policy { steer: true, ..Policy::default() };
    let site = Site { settings: &config.slurm, names, layout, policy };
    let (mut nodes, _) = seen(2);
    step(answers, &mut nodes, &site.policy, &mut Kept::new(&site), recall, 32)
}

fn ids(step: &Step) -> Vec<u32> {
    step.again.iter().map(|(_, id)| *id).collect()
}

#[test]
fn they_are_looked_at_again_once_what_they_name_is_open() {
    let now = answers().now;
    let again = |wants, required| ids(&step_with(held(wants, required, now), &Recall::default()));
    // Somebody has all of the 3g, and a 1g is idle.
    assert_eq!(again("3g.20gb", "n1"), [3, 6]);
    assert_eq!(again("2g.10gb", "n1"), [6]);
    assert_eq!(again("3g.20gb", "n2"), [0; 0]);
    assert_eq!(again("none", "n1"), [6]);
    assert_eq!(ids(&step_with(at(now), &Recall::default())), [0; 0]);
}

#[test]
fn they_are_cut_for_until_slurm_holds_them_although_all_was_open() {
    let now = answers().now;
    let mut recall = Recall::default();
    let cut = step_with(held("2g.10gb", "n1", now), &recall);
    assert_eq!(*said(&cut, 3), Ok(Verdict::Cut(vec!["n1".into()])));
    recall.looked(3, now);
    let rests = step_with(held("2g.10gb", "n1", now + 7), &recall);
    assert_eq!(*said(&rests, 3), Ok(Verdict::Other("BadConstraints".into())));
    assert!(rests.orders.values().all(|order| !order.cuts()), "{rests:?}");
    assert_eq!(ids(&step_with(held("3g.20gb", "n1", now + 7), &recall)), [6]);
    assert_eq!(ids(&step_with(held("3g.20gb", "n1", now + 8), &recall)), [3, 6]);
    let cut = step_with(held("2g.10gb", "n1", now + 8), &recall);
    assert_eq!(*said(&cut, 3), Ok(Verdict::Cut(vec!["n1".into()])));
}

#[test]
fn what_is_not_looked_at_has_no_choice_of_what_it_asks_for() {
    let profiles = |change: &dyn Fn(&mut Answers)| {
        let mut answers = held("3g.20gb", "n1", answers().now);
        change(&mut answers);
        let step = step_with(answers, &Recall::default());
        let (job, _) = step.jobs.iter().find(|(job, _)| job.id == 6).unwrap();
        let kind = |name: &str| (name.to_owned(), [(name.parse().unwrap(), [0].into())].into());
        let job = choiceless(job, &["1g.5gb", "2g.10gb", "3g.20gb"].map(kind).into());
        assert!(job.shares.iter().all(|share| share.nodes > 1000) && matches!(job.reason, Reason::Other(_)));
        let wants = job.shares.iter().flat_map(|share| &share.want);
        wants.map(|want| want.profile.map_or("any".into(), |one| one.to_string())).collect::<Vec<_>>()
    };
    let asks = |text: &'static str| {
        move |answers: &mut Answers| {
            let request = answers.requests.iter_mut().find(|request| request.id == 6).unwrap();
            request.tres[1] = text.into();
        }
    };
    assert_eq!(profiles(&|_| ()), ["1g.5gb"]);
    assert_eq!(profiles(&asks("gres/gpu:3g.20gb:1,gres/gpu:2")), ["3g.20gb", "any"]);
    assert_eq!(profiles(&asks("gres/gpu:3g.20gb:x")), ["1g.5gb", "2g.10gb", "3g.20gb"]);
}
