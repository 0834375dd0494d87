use crate::node::Node;
#[test]
fn explore() {
    let node = Node::cut("a100-40gb:2:shuffled,h100-80gb-sxm:1:mirrored", &[
        "devices: [0], mig-enabled: true, mig-devices: {1g.5gb: 2, 2g.10gb: 1, 3g.20gb: 1}",
        "devices: [1], mig-enabled: true, mig-devices: {1g.5gb: 1, 4g.20gb: 1}",
        "devices: [2], mig-enabled: true, mig-devices: {1g.20gb: 1, 3g.40gb: 1}",
    ]).unwrap().without_plugin().detecting();
    println!("{:#?}\n{:#?}", node.predicted(), node.detected());
    println!("{:?}", node.lab.run(&["slurmd","-G","-N","n1","-vv"]));
    let node = node.start();
    println!("{}", node.lab.run(&["scontrol","show","node"]).unwrap().stdout);
    for probes in node.one_job_per_device() { for p in probes { println!("{:?} {:?} {:?}", p.cuda, p.open, node.opened(&p)); } }
    println!("{}", node.lab.read_file("/run/gresgen/devices").unwrap());
}
