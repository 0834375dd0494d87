use super::*;
use crate::slurm::names::TypeSettings;

fn node(line: &str) -> NodeView {
    NodeView::parse(line).unwrap()
}

fn sums(slices: &[Slice]) -> Vec<(&str, u64, u64, u64, u64, u64)> {
    slices.iter().map(|s| (s.name.as_str(), s.total, s.used, s.free, s.pending, s.nodes)).collect()
}

#[test]
fn types_are_summed_over_nodes_that_take_jobs() {
    let answers = Answers {
        nodes: vec![
            node(
                "NodeName=n1 State=MIXED Gres=gpu:3g.20gb:1(S:0),gpu:1g.5gb:4 GresUsed=gpu:3g.20gb:0(IDX:N/A),gpu:1g.5gb:2(IDX:1,3)",
            ),
            node(
                "NodeName=n2 State=IDLE+DRAIN Gres=gpu:1g.5gb:7 GresUsed=gpu:1g.5gb:1(IDX:0) Reason=Gres=gpu:9",
            ),
            node("NodeName=n3 State=IDLE Gres=gpu:v100:2,shard:4 GresUsed=gpu:v100:0(IDX:N/A),shard:0"),
            node("NodeName=n4 State=ALLOCATED Gres=gpu:2 GresUsed=gpu:(null):2(IDX:0-1)"),
            node("NodeName=n5 State=IDLE Gres=(null)"),
            // Of a catalog, as slurmctld has it.
            node(
                "NodeName=cut-1 State=DOWN+DRAIN+NOT_RESPONDING Gres=gpu:1g.5gb:14 Partitions=lab Reason=never_up [slurm@2026-11-27T05:46:53]",
            ),
        ],
        waiting: Waiting {
            types: [("1g.5gb".to_owned(), 5), ("other".to_owned(), 9)].into(),
            any: 1,
            unread: 0,
        },
        weights: vec![
            "CPU=1.0,Mem=0.25G,GRES/gpu:1g.5gb=0.143".to_owned(),
            "gres/GPU:1g.5gb=0.2,GRES/gpu=1".to_owned(),
            "CPU=1.0".to_owned(),
        ],
    };
    let settings = TypeSettings::default();
    let slices = slices(&answers, &Names::new(&settings).unwrap());
    assert_eq!(
        sums(&slices),
        [
            ("1g.5gb", 11, 3, 2, 5, 2),
            ("3g.20gb", 1, 0, 1, 0, 1),
            ("", 2, 2, 0, 0, 1),
            ("v100", 2, 0, 2, 0, 1)
        ]
    );
    assert_eq!(slices[0].costs, [143, 1200].into());
    assert_eq!(slices[1].costs, [1000].into());
    let fits = |bytes| fitting(&slices, bytes).map(|slice| slice.name.as_str());
    assert_eq!(fits(5_000_000_000), Some("1g.5gb"));
    assert_eq!(fits(4864 << 20), Some("1g.5gb"));
    assert_eq!(fits((4864 << 20) + 1), Some("3g.20gb"));
    assert_eq!(fits(u64::MAX), None);
}
