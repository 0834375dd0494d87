//! The planner on examples a person can check.

use crate::common::*;
use mig::{Goal, Reason, Want, plan};

#[test]
fn what_is_as_wanted_stays_as_it_is() {
    let a100 = geometry("a100-40gb");
    let gpus = [state(&a100, "1g.5gb@0", "1g.5gb@1 2g.10gb@2")];
    let plan = plan(&gpus, &[exactly(&[0], "1g.5gb:2 2g.10gb:1")]).unwrap();
    assert_eq!(plan.layouts[0], gpus[0].placed());
}

#[test]
fn a_change_keeps_what_can_stay() {
    let a100 = geometry("a100-40gb");
    let gpus = [state(&a100, "1g.5gb@4", "1g.5gb@0 1g.5gb@1 1g.5gb@5")];
    let plan = plan(&gpus, &[exactly(&[0], "3g.20gb:1 1g.5gb:2")]).unwrap();
    assert_eq!(plan.layouts[0], placed(&a100, "1g.5gb@4 1g.5gb@5 3g.20gb@0"));
    assert_eq!((plan.cost.destroyed, plan.cost.created), (2, 1));
}

#[test]
fn gpus_of_no_goal_are_left_alone() {
    let a100 = geometry("a100-40gb");
    let gpus = [state(&a100, "", "7g.40gb@0"), state(&a100, "", "")];
    let plan = plan(&gpus, &[exactly(&[1], "7g.40gb:1")]).unwrap();
    assert_eq!(plan.layouts, [placed(&a100, "7g.40gb@0"), placed(&a100, "7g.40gb@0")]);
    assert_eq!((plan.cost.destroyed, plan.cost.created), (0, 1));
}

#[test]
fn a_demand_over_a_node_is_met_somewhere() {
    let a100 = geometry("a100-40gb");
    let gpus = [state(&a100, "1g.5gb@0", ""), state(&a100, "", "")];
    let plan = plan(&gpus, &[exactly(&[0, 1], "1g.5gb:10 3g.20gb:1")]).unwrap();
    assert_eq!(plan.layouts[0].len() + plan.layouts[1].len(), 11);
    assert_eq!((plan.cost.destroyed, plan.cost.created), (0, 10));
}

#[test]
fn different_models_share_a_demand() {
    let (a100, a30) = (geometry("a100-40gb"), geometry("a30-24gb"));
    let gpus = [state(&a30, "", ""), state(&a100, "", "")];
    let plan = plan(&gpus, &[exactly(&[0, 1], "1g.6gb:3 1g.5gb:2")]).unwrap();
    assert_eq!((plan.layouts[0].len(), plan.layouts[1].len()), (3, 2));
}

#[test]
fn new_instances_leave_the_most_room_for_large_ones() {
    let a100 = geometry("a100-40gb");
    let plan = plan(&[state(&a100, "", "")], &[exactly(&[0], "1g.5gb:1")]).unwrap();
    // Only the lower half can hold a 4g.20gb, and in the upper one only place 6 is in no 2g.10gb's way.
    assert_eq!(plan.layouts[0], placed(&a100, "1g.5gb@6"));
}

#[test]
fn a_rollback_is_a_goal_by_place() {
    let a100 = geometry("a100-40gb");
    let before = placed(&a100, "1g.5gb@0 1g.5gb@6 2g.10gb@2");
    let gpus = [state(&a100, "1g.5gb@0", "3g.20gb@4")];
    let plan = plan(&gpus, &[Goal { gpus: vec![0], want: Want::At(before.clone()) }]).unwrap();
    let mut sorted = before;
    sorted.sort();
    assert_eq!(plan.layouts[0], sorted);
}

#[test]
fn a_rollback_does_not_touch_what_is_in_use() {
    let a100 = geometry("a100-40gb");
    let gpus = [state(&a100, "3g.20gb@4", "")];
    let goal = Goal { gpus: vec![0], want: Want::At(placed(&a100, "1g.5gb@6 1g.5gb@0")) };
    let error = plan(&gpus, &[goal]).unwrap_err();
    assert_eq!(error.reason, Reason::Unwanted);
    assert_eq!(
        error.to_string(),
        "GPU 0: instances in use are not part of the layout: 3g.20gb at 4 of GPU 0; short of 1 x 1g.5gb; \
         nearest that fits, 2 instances away: 1 x 3g.20gb, 1 x 1g.5gb"
    );
}

#[test]
fn some_places_may_be_fixed_and_the_rest_left_open() {
    let a100 = geometry("a100-40gb");
    let want = Want::Including { places: placed(&a100, "3g.20gb@0"), demand: demand("3g.20gb:1 1g.5gb:3") };
    let plan = plan(&[state(&a100, "", "")], &[Goal { gpus: vec![0], want }]).unwrap();
    assert_eq!(plan.layouts[0], placed(&a100, "1g.5gb@4 1g.5gb@5 1g.5gb@6 3g.20gb@0"));
}

#[test]
fn what_does_not_fit_is_told_with_the_nearest_layout() {
    let a100 = geometry("a100-40gb");
    let error = plan(&[state(&a100, "", "")], &[exactly(&[0], "3g.20gb:2 1g.5gb:2")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "GPU 0: the layout does not fit; short of 1 x 3g.20gb; \
         nearest that fits, 1 instance away: 1 x 3g.20gb, 2 x 1g.5gb"
    );
}

#[test]
fn instances_in_the_way_are_named() {
    let a100 = geometry("a100-40gb");
    let gpus = [state(&a100, "1g.5gb@0 1g.5gb@4", "")];
    let error = plan(&gpus, &[exactly(&[0], "3g.20gb:1 1g.5gb:2 4g.20gb:1")]).unwrap_err();
    assert_eq!(error.reason, Reason::TooMuch);
    let error = plan(&gpus, &[exactly(&[0], "4g.20gb:1 1g.5gb:2")]).unwrap_err();
    assert_eq!(error.reason, Reason::Blocked);
    assert_eq!(
        error.to_string(),
        "GPU 0: instances in use are in the way: 1g.5gb at 0 of GPU 0; short of 1 x 4g.20gb; \
         nearest that fits, 1 instance away: 2 x 1g.5gb"
    );
    let error = plan(&gpus, &[exactly(&[0], "1g.5gb:1")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "GPU 0: instances in use are not part of the layout: 1g.5gb at 4 of GPU 0; \
         nearest that fits, 1 instance away: 2 x 1g.5gb"
    );
}

#[test]
fn a_profile_the_gpus_lack_is_told_with_those_they_have() {
    let a30 = geometry("a30-24gb");
    let error = plan(&[state(&a30, "", "")], &[exactly(&[0], "1g.5gb:1")]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "GPU 0: no profile 1g.5gb, only 1g.6gb, 1g.6gb+me, 2g.12gb, 2g.12gb+me, 4g.24gb"
    );
}

#[test]
fn media_engines_go_to_one_instance_of_each_gpu() {
    let a100 = geometry("a100-40gb");
    let gpus = [state(&a100, "", ""), state(&a100, "", "")];
    assert!(plan(&gpus, &[exactly(&[0], "1g.5gb+me:2")]).is_err());
    let plan = plan(&gpus, &[exactly(&[0, 1], "1g.5gb+me:2")]).unwrap();
    assert_eq!((plan.layouts[0].len(), plan.layouts[1].len()), (1, 1));
}

#[test]
fn impossible_places_are_refused() {
    let a100 = geometry("a100-40gb");
    for places in ["3g.20gb@0 4g.20gb@0", "3g.20gb@2"] {
        let goal = Goal { gpus: vec![0], want: Want::At(placed(&a100, places)) };
        let error = plan(&[state(&a100, "", "")], &[goal]).unwrap_err();
        assert_eq!(error.reason, Reason::Places { gpu: 0 });
    }
}

#[test]
fn absurd_demands_end_quickly() {
    let a100 = geometry("a100-40gb");
    let error = plan(&[state(&a100, "", "")], &[exactly(&[0], "1g.5gb:4294967295 7g.40gb:1")]).unwrap_err();
    assert_eq!(error.nearest.unwrap().holds, demand("1g.5gb:7"));
}
