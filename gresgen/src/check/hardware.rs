//! Driver, MIG mode, instances.

use super::{Facts, Link, few};
use crate::words;

pub(super) fn judge(facts: &Facts, links: &mut Vec<Link>) {
    let inventory = match &facts.inventory {
        None => return,
        Some(Err(error)) => {
            links.push(Link::fail("driver", error, "load the NVIDIA driver, or see its messages in dmesg"));
            return;
        }
        Some(Ok(inventory)) => inventory,
    };
    let count = inventory.gpus.len();
    links.push(match count {
        0 => {
            Link::fail("driver", "it knows no GPU", "see dmesg for NVRM messages, and lspci for the hardware")
        }
        _ => Link::pass("driver", format!("{} with {}", inventory.driver, words::count(count, "GPU"))),
    });
    let pending: Vec<u32> = inventory.gpus.iter().filter(|g| g.mode.is_pending()).map(|g| g.index).collect();
    links.push(if pending.is_empty() {
        Link::pass("MIG mode", "no change is pending")
    } else {
        Link::fail(
            "MIG mode",
            format!("GPU {}: a change waits for a GPU reset", few(&pending)),
            "gresgen apply --reset, or reboot the node",
        )
    });
    let orphans: Vec<String> = inventory
        .gpus
        .iter()
        .flat_map(|gpu| gpu.instances.iter().map(move |instance| (gpu, instance)))
        .filter(|(_, instance)| instance.compute.is_empty())
        .map(|(gpu, instance)| format!("GPU {} {}", gpu.index, instance.placement.profile))
        .collect();
    if !orphans.is_empty() {
        let what = format!("{}: no compute instance, so nothing can use it", few(&orphans));
        links.push(Link::fail("instances", what, "gresgen apply"));
    }
    links.extend(match &facts.drift {
        None => None,
        Some(Err(error)) => Some(Link::fail("layout", error, "mend /etc/gresgen/config.yaml")),
        Some(Ok(steps)) if steps.is_empty() => Some(Link::pass("layout", "as configured")),
        Some(Ok(steps)) => {
            let what = format!("differs from the configuration: {}", few(steps));
            Some(Link::fail("layout", what, "gresgen apply"))
        }
    });
}
