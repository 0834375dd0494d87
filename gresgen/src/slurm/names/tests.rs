use std::collections::BTreeSet;

use mig::BOARDS;
use proptest::prelude::*;

use super::*;

fn settings(pattern: &str) -> TypeSettings {
    TypeSettings { pattern: pattern.to_owned(), ..TypeSettings::default() }
}

#[test]
fn the_hash_is_slurms() {
    // `slurmd -G` of 22.05.8 prints ID=7696487 for gpu and ID=7303014 for foo.
    assert_eq!((type_hash("gpu"), type_hash("foo")), (7_696_487, 7_303_014));
}

#[test]
fn the_clashes_between_products_are_found() {
    for (a, b) in [
        ("1g.23gb", "4g.20gb"),
        ("2g.45gb", "7g.40gb"),
        ("3g.48gb", "4g.47gb"),
        ("1g.42gb", "3g.40gb"),
        ("1g.35gb", "4g.32gb"),
    ] {
        assert_eq!(clashes([a, "x", b, a, b]), [Clash(a.into(), b.into(), type_hash(a))]);
    }
    assert_eq!(clashes(["1g.5gb", "2g.10gb", "3g.20gb", "1g.5gb"]), []);
    insta::assert_snapshot!(clashes(["1g.23gb", "4g.20gb"])[0]);
}

#[test]
fn no_board_clashes_with_itself() {
    for board in BOARDS {
        let names: Vec<String> = board.geometry().specs.iter().map(|s| s.profile.to_string()).collect();
        assert_eq!(clashes(names.iter().map(String::as_str)), [], "{}", board.key);
    }
}

#[test]
fn models_are_short() {
    for (product, short) in [
        ("NVIDIA A100-SXM4-40GB", "a100"),
        ("A100-PCIE-40GB", "a100"),
        ("NVIDIA A30", "a30"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA GH200 480GB", "gh200"),
        ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "rtx_pro_6000"),
        ("Tesla T4", "tesla_t4"),
    ] {
        assert_eq!(short_model(product), short);
    }
}

#[test]
fn names_follow_pattern_models_aliases_and_spelling() {
    let profile = "1g.10gb+me".parse().unwrap();
    let product = "NVIDIA A100-SXM4-80GB";
    let name = |s: &TypeSettings| Names::new(s).unwrap().slice(product, profile).unwrap().to_string();
    assert_eq!(name(&settings("{profile}")), "1g.10gb+me");
    let mut s = settings("{model}_{profile}");
    assert_eq!(name(&s), "a100_1g.10gb+me");
    s.safe = true;
    assert_eq!(name(&s), "a100_1g_10gb_me");
    s.models.insert(product.into(), "a100l".into());
    assert_eq!(name(&s), "a100l_1g_10gb_me");
    assert_eq!(Names::new(&s).unwrap().whole(product).unwrap().as_str(), "a100l");
    s.aliases.insert("a100l_1g.10gb+me".into(), "media".into());
    assert_eq!(name(&s), "media");
}

#[test]
fn what_slurm_would_misread_is_refused() {
    let errors: Vec<String> = ["", "1g.5gb:2", "a,b", "4", "1g", "12k", "4K", "1GiB", "a b", "ä", "x(1)"]
        .iter()
        .map(|name| TypeName::new(name).unwrap_err().to_string())
        .chain(
            ["mig", "{profil}", "{profile}{x}"]
                .iter()
                .map(|p| Names::new(&settings(p)).unwrap_err().to_string()),
        )
        .collect();
    insta::assert_snapshot!(errors.join("\n"));
    for name in
        ["1g.5gb", "1c.3g.20gb", "1g.10gb+me", "a100", "1gx", "t4", "h100-x", "g", "A100", "H100_1g.10gb"]
    {
        assert_eq!(TypeName::new(name).unwrap().as_str(), name);
    }
}

#[test]
fn a_safe_spelling_keeps_profiles_apart() {
    let s = TypeSettings { safe: true, ..TypeSettings::default() };
    let names = Names::new(&s).unwrap();
    for board in BOARDS {
        let specs = board.geometry().specs;
        let distinct: BTreeSet<TypeName> =
            specs.iter().map(|s| names.slice("x1", s.profile).unwrap()).collect();
        assert_eq!(distinct.len(), specs.len(), "{}", board.key);
    }
}

proptest! {
    #[test]
    fn a_name_is_kept_whole_or_refused(text in "\\PC{0,12}") {
        if let Ok(name) = TypeName::new(&text) {
            prop_assert_eq!(name.as_str(), text.as_str());
            prop_assert!(!text.contains([':', ',', '(', ' ', '=']));
        }
    }
}
