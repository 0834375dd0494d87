//! Which keys of cgroup.conf a release reads, by its own slurmd.

use gresgen::inventory::Inventory;
use gresgen::render::{Context, RenderError, Templates};
use gresgen::root::Root;
use gresgen::slurm::release::CgroupKey;
use gresgen::slurm::settings::Scalar;
use gresgen::slurm::{Release, Settings};

use crate::host::Host;
use crate::judge::Judge;

/// A value that a key takes.
fn value(key: &str) -> &'static str {
    match key {
        "AllowedDevicesFile" | "CgroupReleaseAgentDir" => "/nonexistent",
        "CgroupMountpoint" => "/sys/fs/cgroup",
        "CgroupPlugin" => "autodetect",
        "CgroupSlice" => "system.slice",
        "EnableExtraControllers" => "hugetlb",
        key if key.ends_with("Space") && !key.starts_with("Constrain") => "30",
        key if key.ends_with("Percent") => "90",
        "MemorySwappiness" => "10",
        "SystemdTimeout" => "1000",
        _ => "yes",
    }
}

/// The cgroup.conf of a release with these keys, as it is rendered.
fn rendered<'a>(release: Release, keys: impl Iterator<Item = &'a str>) -> Result<String, RenderError> {
    let mut settings = Settings::default();
    settings.cgroup.extend(keys.map(|key| (key.to_owned(), Scalar(value(key).to_owned()))));
    let none: [(&Inventory, &gresgen::slurm::GresTable); 0] = [];
    let context = Context::of_cluster(none, &settings, release, &Root::host())?;
    let templates = Templates::load(std::path::Path::new("/nonexistent")).unwrap();
    Ok(templates.render("cgroup.conf.j2", &context).unwrap())
}

/// What slurmd says to a cgroup.conf.
fn complaints(judge: &Judge, host: &Host, text: &str) -> Vec<String> {
    std::fs::write(host.root.path(Root::CGROUP_CONF), text).unwrap();
    judge.gres(host, "n1").complaints().map(str::to_owned).collect()
}

#[test]
fn slurmd_reads_the_keys_of_its_release_and_complains_about_others() {
    for judge in Judge::selected() {
        let release = judge.release;
        let host = judge.host();
        std::fs::create_dir_all(host.conf().parent().unwrap()).unwrap();
        host.write_slurm_conf("NodeName=n1\n");
        let read = |key: &&str| {
            // The renderer writes this one itself.
            *key != "ConstrainDevices" && release.cgroup_key(key) == CgroupKey::Read
        };
        let all = rendered(release, Release::cgroup_keys().filter(read)).unwrap();
        assert_eq!(complaints(&judge, &host, &all), [""; 0], "{release}: {all}");
        let others: Vec<&str> =
            Release::cgroup_keys().filter(|key| release.cgroup_key(key) == CgroupKey::Gone).collect();
        assert!(others.len() > 3, "{release}: {others:?}");
        for key in others {
            rendered(release, [key].into_iter()).unwrap_err();
            let said = complaints(&judge, &host, &format!("{key}={}\n", value(key)));
            // 22.05 and 23.02 read keys of kernel memory and do nothing with them.
            assert!(!said.is_empty(), "{release} reads {key}");
        }
    }
}
