use super::*;

#[test]
fn gigabytes_are_never_more_than_there_are() {
    for (mib, gb) in [
        (4864, "5.1"),
        (9856, "10.3"),
        (19_968, "20.9"),
        (16_384, "17.1"),
        (0, "0.0"),
        (u64::MAX, "19342813113834066.7"),
    ] {
        assert_eq!(gigabytes(mib), gb);
    }
}
