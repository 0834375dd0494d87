//! Texts for users: a page, forms, and their judges.

use std::process::Command;

use gresgen::render::Context;
use gresgen::root::Root;
use gresgen::users::Offer;

use crate::fixture::Case;
use crate::submit::{offer, text, try_offer};

const GPUS: &str = "{board: a100-40gb, slices: [1g.5gb@0, 1g.5gb@1, 2g.10gb@2, 3g.20gb@4]}, {board: a100-40gb, slices: null}";
const SITE: &str = "{billing: {by: [slices, memory-slices], gpu: 4}, submit: {max-slices: 2, synonyms: {tiny: 1g.5gb}, \
                    defaults: {1g.5gb: {cpus: 2, memory: 8G}}}}";

#[test]
fn a_page_with_everything_that_a_site_can_say() {
    insta::assert_snapshot!(text("users.md.j2", &offer(GPUS, SITE)));
}

#[test]
fn users_are_told_of_slices_that_are_cut_for_them() {
    let on_request = |orders| {
        let site = format!(
            "{{nodes: [{{names: n1, attributes: CPUs=32}}], on-request: [{{profiles: [1g.5gb, 3g.20gb], orders: {orders}}}]}}"
        );
        text("users.md.j2", &offer("{board: a100-40gb, slices: [1g.5gb@0]}", &site))
    };
    let told = on_request(true);
    let (_, own) = told.split_once("## Slices that are cut for you").unwrap();
    insta::assert_snapshot!(own.split("## What a program sees").next().unwrap());
    assert!(told.contains("GPUs are cut for those who wait"), "{told}");
    // Who has only an admin to cut GPUs does not wait for one.
    assert!(!on_request(false).contains("cut for"), "{}", on_request(false));
}

/// Keys as Open OnDemand documents them (osc.github.io/ood-documentation, "Form Configuration": `widget`, `label`, `help`,
/// `value`, `options` of `[label, value]`).
#[test]
fn a_form_of_open_ondemand() {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Form {
        attributes: std::collections::BTreeMap<String, Attribute>,
    }
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Attribute {
        widget: String,
        label: String,
        help: String,
        value: String,
        options: Vec<(String, String)>,
    }
    let text = text("ondemand.yml.j2", &offer(GPUS, SITE));
    let form: Form = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let gres = &form.attributes["gres"];
    assert_eq!((gres.widget.as_str(), gres.options.len()), ("select", 4));
    assert!(!gres.label.is_empty() && !gres.help.is_empty());
    assert!(gres.options.iter().any(|(_, value)| *value == gres.value), "{text}");
    assert_eq!(gres.options[0], ("1g.5gb, 5.1 GB, costs 0.571".to_owned(), "gpu:1g.5gb:1".to_owned()));
}

/// Stand-ins: `batchspawner` adds its handler to the hub when it is imported, which a name in a profile does not do
/// (batchspawner/api.py; README.md, "Did you `import batchspawner`"); `c` takes what JupyterHub and the spawners have as traits (batchspawner/batchspawner.py, `req_gres`,
/// `req_nprocs`, `req_memory`; wrapspawner/wrapspawner.py, `ProfilesSpawner.profiles`).
#[test]
fn a_list_of_profiles_for_jupyterhub() {
    let text = text("jupyterhub.py.j2", &offer(GPUS, SITE));
    let judge = format!(
        "import sys, types\nsys.modules['batchspawner'] = types.ModuleType('batchspawner')\nclass C:\n  def __getattr__(self, name):\n    self.__dict__[name] = C()\n    return self.__dict__[name]\nc = C()\n{text}\n\
         assert batchspawner is sys.modules['batchspawner']\n\
         for shown, key, spawner, traits in c.ProfilesSpawner.profiles:\n  \
         assert all(t in ('req_gres', 'req_nprocs', 'req_memory') and isinstance(v, str) for t, v in traits.items())\n  \
         print(key, traits['req_gres'], traits.get('req_nprocs'), traits.get('req_memory'))\n"
    );
    let output = Command::new("python3").args(["-c", &judge]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "1g.5gb gpu:1g.5gb:1 2 8192M\n2g.10gb gpu:2g.10gb:1 None None\n3g.20gb gpu:3g.20gb:1 None None\na100 gpu:a100:1 None None\n"
    );
}

#[test]
fn rules_that_name_what_is_not_there_are_refused() {
    assert!(try_offer(GPUS, "submit: {default-type: 1g.5gb}").is_ok());
    let said = |rules: &str| format!("{rules}\n  {}\n", try_offer(GPUS, rules).unwrap_err());
    let rules = [
        "submit: {default-type: 1g.10gb}",
        "submit: {synonyms: {tiny: 1g.10gb}}",
        "submit: {synonyms: {1G.5GB: 2g.10gb}}",
        "submit: {synonyms: {'a:b': 2g.10gb}}",
        "submit: {other-types: ['v 100']}",
        "submit: {defaults: {v100: {cpus: 1}}}",
    ];
    insta::assert_snapshot!(rules.map(said).concat());
    for rules in [
        "submit: {synonyms: {mem: 1g.5gb}}",
        "submit: {other-types: [MEM]}",
        "{types: {aliases: {1g.5gb: mem}}}",
    ] {
        assert!(try_offer(GPUS, rules).unwrap_err().to_string().contains("asks for memory"), "{rules}");
    }
}

/// A name of a GPU is its node's text, and a page is HTML to a browser.
#[test]
fn a_model_cannot_write_into_the_page() {
    let models =
        |models: &[&str]| -> Vec<String> { models.iter().map(|model| (*model).to_owned()).collect() };
    let case = format!("nodes: [{{names: n1, gpus: [{GPUS}]}}]\nslurm: {SITE}");
    let case = Case::parse(&case).unwrap();
    let inventories = case.inventories(&Root::host());
    let tables = case.tables(&inventories);
    let mut context =
        Context::of_cluster(inventories.iter().zip(&tables), &case.slurm, case.release, &Root::host())
            .unwrap();
    for device in context.nodes.iter_mut().flat_map(|node| &mut node.devices) {
        device.model = "A`|<script>alert(1)</script>".to_owned();
    }
    let offer = Offer::new(&context, &case.slurm).unwrap();
    assert_eq!(offer.types[0].models, models(&["A`|<script>alert(1)</script>"]));
    let names = |kind: &gresgen::users::Kind| kind.synonyms.clone();
    assert_eq!(
        offer.types.iter().map(names).collect::<Vec<_>>(),
        [models(&["tiny"]), vec![], vec![], vec![]]
    );
    assert!(!text("users.md.j2", &offer).contains("<script"));
}
