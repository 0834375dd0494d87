//! `make deb` and `make rpm`: what is in the packages, and a node that lives on them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::Release;

use crate::checkout;
use crate::install::{PLUGIN_DIR, files, make};
use crate::node::{BUILD, DocNode, RESUME, Start, build};

/// Makes packages of a kind and version; the paths that the command prints.
fn packages(kind: &str, version: &str, build: &Path, to: &Path) -> Vec<PathBuf> {
    let output = Command::new("make")
        .current_dir(checkout())
        .args(["--silent", kind, &format!("VERSION={version}"), &format!("BUILD={}", build.display())])
        .arg(format!("PACKAGES_DIR={}", to.display()))
        // They are made to be looked at once.
        .env("DPKG_DEB_COMPRESSOR_TYPE", "none")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(PathBuf::from).collect()
}

/// Paths of the files in a package.
fn contents(package: &Path) -> Vec<String> {
    let (program, argument) = match package.extension().and_then(|e| e.to_str()) {
        Some("deb") => ("dpkg-deb", "--contents"),
        _ => ("rpm", "-qplv"),
    };
    let output = Command::new(program).arg(argument).arg(package).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8(output.stdout).unwrap();
    let files = list.lines().filter(|line| line.starts_with('-'));
    let path = |line: &str| line.split_whitespace().last().unwrap().trim_start_matches('.').to_owned();
    files.map(path).collect()
}

/// What `make install` lays out, as packages have it: manual pages compressed, the plugin in whichever place.
fn installed(build: &Path) -> BTreeSet<String> {
    let to = tempfile::tempdir().unwrap();
    make("install", build, to.path());
    let path = |file: &PathBuf| format!("/{}", file.strip_prefix(to.path()).unwrap().display());
    let licences = ["/usr/share/doc/gresgen/LICENSE", "/usr/share/doc/gresgen/THIRD-PARTY"];
    let packed = |path: String| if path.contains("/man/") { format!("{path}.gz") } else { placed(&path) };
    let found = files(to.path());
    // Packages have those in places of their own.
    found.keys().map(path).filter(|path| !licences.contains(&path.as_str())).map(packed).collect()
}

fn placed(path: &str) -> String {
    match path.strip_suffix("/spank_mig.so") {
        Some(_) => format!("{PLUGIN_DIR}/spank_mig.so"),
        None => path.to_owned(),
    }
}

#[test]
fn packages_hold_what_make_install_lays_out() {
    let (build, to) = (build(), tempfile::tempdir().unwrap());
    let expected = installed(build.path());
    for kind in ["deb", "rpm"] {
        let packages = packages(kind, "1.0", build.path(), to.path());
        assert_eq!(packages.len(), 3, "{packages:?}");
        let found: Vec<String> = packages.iter().flat_map(|package| contents(package)).collect();
        // What packages of a kind have beside it: licences, changes, and on Debian words to lintian.
        let licence =
            |path: &str| ["/copyright", "/LICENSE", "/THIRD-PARTY"].iter().any(|end| path.ends_with(end));
        let of_the_kind = |path: &str| {
            licence(path)
                || path.ends_with("/changelog.gz")
                || path.starts_with("/usr/share/lintian/overrides/")
        };
        for package in &packages {
            let licences = contents(package).into_iter().filter(|path| licence(path)).count();
            assert_eq!(licences, 2, "{}: its own licence, and those of others", package.display());
        }
        let found: Vec<String> =
            found.iter().filter(|path| !of_the_kind(path)).map(|path| placed(path)).collect();
        let all: BTreeSet<String> = found.iter().cloned().collect();
        assert_eq!(all.len(), found.len(), "{kind}: a file is in two packages");
        assert_eq!(all, expected, "{kind}");
    }
}

/// `make dist` is what the spec expects: rpmbuild makes packages of it, sources among them, that own their directories.
#[test]
fn rpmbuild_takes_the_spec_as_it_is() {
    let (build, top) = (build(), tempfile::tempdir().unwrap());
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).current_dir(top.path()).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{program}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said
    };
    let spec = checkout().join("packaging/rpm/gresgen.spec");
    let spec = spec.to_str().unwrap();
    let version = run("rpmspec", &["-q", "--srpm", "--queryformat", "%{version}", spec]);
    assert_eq!(version, env!("CARGO_PKG_VERSION"), "{spec}");
    let sources = top.path().join("SOURCES");
    let checkout = checkout();
    run(
        "make",
        &[
            "--silent",
            "-C",
            checkout.to_str().unwrap(),
            "dist",
            &format!("PACKAGES_DIR={}", sources.display()),
        ],
    );
    let define = |name: &str, value: &str| format!("{name} {value}");
    // What takes minutes, the compiler, is tested by all other tests.
    let (place, built) =
        (define("_topdir", top.path().to_str().unwrap()), define("built", build.path().to_str().unwrap()));
    run("rpmbuild", &["--quiet", "--nodeps", "-ba", spec, "--define", &place, "--define", &built]);
    let made = files(top.path());
    let ends = |end: &str| {
        made.keys().filter(|path| path.to_str().is_some_and(|p| p.ends_with(end))).collect::<Vec<_>>()
    };
    assert_eq!(ends(".src.rpm").len(), 1, "{made:?}");
    let binary = ends(".x86_64.rpm").into_iter().chain(ends(".aarch64.rpm")).collect::<Vec<_>>();
    assert_eq!(binary.len(), 3, "{made:?}");
    for package in binary {
        let listed = run("rpm", &["-qpl", package.to_str().unwrap()]);
        let listed: BTreeSet<&Path> = listed.lines().map(Path::new).collect();
        for path in &listed {
            let ours = path.ancestors().skip(1).filter(|up| up.to_string_lossy().contains("gresgen"));
            let unowned: Vec<_> = ours.filter(|up| !listed.contains(up)).collect();
            assert!(unowned.is_empty(), "{}: {unowned:?}", package.display());
        }
    }
}

/// What the packages' scripts have systemd do: here it only takes notes.
const NOTES: &str = "#!/bin/sh\necho \"$*\" >> /root/systemctl.log\n";

/// Debian's rpm installs, upgrades and removes what `make rpm` makes, and runs its scripts. What the packages ask for
/// are packages of other distributions, which its database has not.
#[test]
#[ignore = "most of it is rpmbuild: make test-rpm"]
fn rpms_are_installed_upgraded_and_removed() {
    let Some(node) = DocNode::new(Start::FromNothing) else { return };
    let rpm = |verb: &str, version: &str| {
        packages("rpm", version, &node.build(), &node.build().join(version));
        format!("rpm --force-debian --nodeps {verb} {BUILD}/{version}/*.rpm")
    };
    const ALL: &str = "gresgen slurm-spank-mig gresgen-simulator";
    // Where rpm has its scripts look.
    node.write("/usr/bin/systemctl", NOTES);
    node.ends(0, "chmod 755 /usr/bin/systemctl && mkdir -p /run/systemd/system");
    let told = || node.ends(0, "cat /root/systemctl.log; rm -f /root/systemctl.log");

    node.ends(0, &rpm("--install", "1.0"));
    assert_eq!(told(), "daemon-reload\n", "nobody asked for the boot unit yet");
    assert_eq!(node.ends(0, &format!("rpm --verify --nodeps {ALL}")), "");
    node.write("/etc/gresgen/config.yaml", CONFIG);
    let simulated = "env -u GRESGEN_NVML_LIB gresgen --simulate a30-24gb --root /tmp/simulated status";
    assert!(node.ends(0, simulated).contains("A30"));
    node.ends(0, "zcat /usr/share/man/man1/gresgen.1.gz /usr/share/man/man8/spank_mig.8.gz | grep -q NAME");

    // Written beside and renamed: slurmd has the old one mapped.
    let plugin = "stat --format=%i $(rpm --query --list slurm-spank-mig | grep '/spank_mig.so$')";
    let before = node.ends(0, plugin);
    node.ends(
        0,
        &format!(
            "exec 3<$(rpm --query --list slurm-spank-mig | grep '/spank_mig.so$'); {}",
            rpm("--upgrade", "1.1")
        ),
    );
    assert_ne!(node.ends(0, plugin), before, "written over");
    assert_eq!(told(), "daemon-reload\n".repeat(2), "an upgrade takes no unit out of service");
    assert_eq!(
        node.ends(0, "rpm --query --queryformat '%{VERSION} ' gresgen slurm-spank-mig gresgen-simulator"),
        "1.1 1.1 1.1 "
    );
    assert_eq!(node.ends(0, "cat /etc/gresgen/config.yaml"), CONFIG);

    let owned = node.ends(0, &format!("rpm --query --list {ALL}"));
    let owned: Vec<&str> =
        owned.lines().filter(|path| path.contains("gresgen") || path.contains("spank")).collect();
    assert!(owned.len() > 20, "{owned:?}");
    node.ends(0, &format!("rpm --erase --nodeps {ALL}"));
    assert_eq!(
        told(),
        "disable gresgen-boot.service gresgen-arbiter.service gresgen-metrics.timer\ndaemon-reload\n"
    );
    // Of the admin's own nothing goes.
    assert_eq!(node.ends(0, &format!("ls -d {} 2>/dev/null || true", owned.join(" "))), "/etc/gresgen\n");
    assert_eq!(node.ends(0, "cat /etc/gresgen/config.yaml"), CONFIG);
}

/// A node whose config.yaml cuts two GPUs.
const CONFIG: &str = "\
version: v1
mig-configs:
  seven:
    - {devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 4}}
    - {devices: [1], mig-enabled: true, mig-devices: {3g.20gb: 1, 2g.10gb: 1, 1g.5gb: 1}}
slurm:
  nodes:
    - {names: n1, attributes: NodeAddr=10.0.0.1 CPUs=32 RealMemory=4000}
";

#[test]
fn a_node_lives_on_the_packages() {
    for release in Release::selected() {
        let Some(node) = DocNode::on(release, Start::FromNothing) else { return };
        let deb = |version: &str| {
            packages("deb", version, &node.build(), &node.build().join(version));
            format!("dpkg --install {BUILD}/{version}/*.deb")
        };
        node.ends(0, &deb("1.0"));
        assert_eq!(node.ends(0, "dpkg --verify gresgen slurm-spank-mig gresgen-simulator"), "");
        let enabled = "find /etc/systemd -name 'gresgen*'";
        assert_eq!(node.ends(0, enabled), "", "nobody asked for the boot unit yet");

        // Slurm learns of it as docs/install.md says.
        node.write("/etc/gresgen/config.yaml", CONFIG);
        node.ends(6, "gresgen --quiet apply --adopt");
        node.ends(0, "sed -i 's|^NodeName=n1 .*|include /etc/slurm/gresgen-node.conf|; /^GresTypes=/d' /etc/slurm/slurm.conf");
        node.ends(0, "echo 'include /etc/slurm/plugstack.conf.d/*' >> /etc/slurm/plugstack.conf");
        node.ends(0, "systemctl stop slurmd && systemctl restart slurmctld && systemctl start slurmd");
        node.ends(0, RESUME);
        let slices = node.ends(0, "gresgen status -v");
        let job = "srun --gres=gpu:3g.20gb:1 sh -c 'sleep 1; echo $CUDA_VISIBLE_DEVICES'";
        let slice = node.ends(0, job);
        assert!(slice.starts_with("MIG-") && slices.contains(slice.trim()), "{release}: {slice}");
        node.ends(0, "gresgen check");
        node.ends(0, "env -u GRESGEN_NVML_LIB gresgen --simulate a30-24gb --root /tmp/simulated status");
        node.ends(0, "man --location=gresgen gresgen 2>/dev/null || zcat /usr/share/man/man1/gresgen.1.gz");

        // An upgrade under a running job: the plugin is another file, slurmd the same process.
        let plugin = format!("{}/spank_mig.so", release.plugin_directory());
        let identity = format!("stat --format=%i {plugin} && pidof slurmd");
        let before = node.ends(0, &identity);
        let during = node.ends(0, &format!("exec 3<{plugin}; {job} & {} >/dev/null && wait $!", deb("1.1")));
        let after = node.ends(0, &identity);
        assert_eq!(during, slice);
        assert_ne!(before.lines().next(), after.lines().next(), "written over");
        assert_eq!(before.lines().nth(1), after.lines().nth(1), "slurmd was restarted");
        assert_eq!(node.ends(0, job), slice);
        assert_eq!(node.ends(0, "cat /etc/gresgen/config.yaml"), CONFIG);

        // Gone: the packages' files, and what is named after this project but for what Slurm reads. Slurm goes on.
        let owned = node.ends(0, "dpkg --listfiles gresgen slurm-spank-mig gresgen-simulator");
        node.ends(0, "dpkg --purge gresgen slurm-spank-mig gresgen-simulator");
        let owned: Vec<&str> =
            owned.lines().filter(|path| path.contains("gresgen") || path.contains("spank")).collect();
        assert!(owned.len() > 20, "{owned:?}");
        assert_eq!(node.ends(0, &format!("ls -d {} 2>/dev/null || true", owned.join(" "))), "");
        let named = "find /etc /usr /var -path /usr/local -prune -o -name '*gresgen*' -print";
        assert_eq!(node.ends(0, named), "/etc/slurm/gresgen-node.conf\n");
        assert_eq!(node.ends(0, "srun hostname"), "n1\n");
    }
}
