//! Every sentence with which rendering refuses.

use gresgen::render::{Context, Templates};
use gresgen::root::Root;
use gresgen::slurm::{GresTable, PreviousOrder};

use crate::fixture::Case;

/// What a case is refused with.
fn refusal(text: &str) -> String {
    let case = Case::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    let inventories = case.inventories(&Root::host());
    let tables: Result<Vec<GresTable>, _> =
        inventories.iter().map(|i| GresTable::new(i, &case.slurm, &PreviousOrder::default())).collect();
    let tables = match tables {
        Ok(tables) => tables,
        Err(error) => return error.to_string(),
    };
    let context =
        Context::of_cluster(inventories.iter().zip(&tables), &case.slurm, case.release, &Root::host());
    context.expect_err(text).to_string()
}

const GPU: &str = "{board: a100-40gb, slices: [1g.5gb@0]}";

#[test]
fn settings_and_facts_that_slurm_would_misread() {
    let node = |slurm: &str| refusal(&format!("nodes: [{{names: n1, gpus: [{GPU}]}}]\nslurm: {slurm}"));
    let errors = [
        node("{types: {aliases: {1g.5gb: 'mig:small'}}}"),
        node("{types: {aliases: {1g.5gb: 'Small one'}}}"),
        node("{types: {pattern: '{gpu}'}}"),
        node("{nodes: [{names: 'n[1', attributes: CPUs=1}]}"),
        node("{nodes: [{names: n1, attributes: NodeName=n1 CPUs=1}]}"),
        node("{nodes: [{names: n1, attributes: 'CPUs=1 Gres=fpga:1,gpu:4'}]}"),
        node("{nodes: [{names: n1, attributes: 'CPUs=1 # two'}]}"),
        node("{cgroup: {AllowedDevicesFile: /x}}"),
        node("{cgroup: {ConstrainDevices: no}}"),
        node("{cgroup: {ConstrainCore: yes}}"),
        refusal(&format!("nodes: [{{names: n1, gpus: [{GPU}]}}, {{names: 'n[0-1]', gpus: []}}]")),
        refusal(
            "nodes: [{names: n1, gpus: [{board: a100-40gb, slices: [4g.20gb@0]}]}, \
             {names: n2, gpus: [{board: b200-180gb, slices: [1g.23gb@0]}]}]",
        ),
        refusal(
            "nodes: [{names: n1, gpus: [{board: a100-40gb, slices: [4g.20gb@0]}, \
             {board: b200-180gb, slices: [1g.23gb@0]}]}]",
        ),
        refusal(
            "nodes: [{names: n1, gpus: [{board: h100-80gb-sxm, slices: [1g.10gb@0]}, \
             {board: a100-80gb, slices: [1g.10gb@0]}]}]\nslurm: {billing: memory}",
        ),
        refusal(
            "nodes: [{names: n1, gpus: [{board: b200-180gb, slices: [1g.23gb@0]}]}]\nslurm: {billing: sms}",
        ),
        refusal(
            "nodes: [{names: n1, gpus: [{board: h100-64gb-sxm, slices: [1g.8gb@0]}]}]\nslurm: {billing: sms}",
        ),
    ];
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn templates_that_are_wrong() {
    let site = tempfile::tempdir().unwrap();
    let file = site.path().join("gres.conf.j2");
    let case = Case::parse(&format!("nodes: [{{names: n1, gpus: [{GPU}]}}]")).unwrap();
    let inventories = case.inventories(&Root::host());
    let tables = case.tables(&inventories);
    let context =
        Context::of_node(&inventories[0], &tables[0], &case.slurm, case.release, &Root::host()).unwrap();
    let error = |text: &[u8]| {
        std::fs::write(&file, text).unwrap();
        let rendered = Templates::load(site.path()).and_then(|t| t.render("gres.conf.j2", &context));
        rendered
            .expect_err("a wrong template")
            .to_string()
            .replace(&site.path().display().to_string(), "SITE")
    };
    let errors = [
        error(b"# a\n{% for node in nodes %}\n{{ node.name }}\n{% endfor %}\n"),
        error(b"{{ colour }}\n"),
        error(b"# a\n{% if nodes %}\n"),
        error(b"{{ nodes | shout }}\n"),
        error(b"{{ nodes[0].devices[0].files + 1 }}\n"),
        error(b"{% include 'other.j2' %}\n"),
        error(&[0xff, b'\n']),
    ];
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn a_template_of_the_site_replaces_the_embedded_one() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(
        site.path().join("cgroup.conf.j2"),
        "{% for n in nodes %}{% for d in n.devices %}{{ d.type }} {{ d.sms }} {{ d.memory_mib }}\n{% endfor %}{% endfor %}",
    )
    .unwrap();
    let case = Case::parse(&format!("nodes: [{{names: n1, gpus: [{GPU}]}}]")).unwrap();
    let inventories = case.inventories(&Root::host());
    let tables = case.tables(&inventories);
    let context =
        Context::of_node(&inventories[0], &tables[0], &case.slurm, case.release, &Root::host()).unwrap();
    let templates = Templates::load(site.path()).unwrap();
    assert_eq!(templates.render("cgroup.conf.j2", &context).unwrap(), "1g.5gb 14 4864\n");
    assert!(templates.render("gres.conf.j2", &context).unwrap().contains("Type=1g.5gb"));
}
