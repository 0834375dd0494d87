//! A first configuration from what is there: the GPUs, and what Slurm's files say of the node.
//!
//! ```text
//! Inventory + Found -> layouts, Settings -> ConfigText;  Conf -> Edits -> patch, or written
//! ```
//!
//! Making one only reads. What comes out is read back before it is written: it is a configuration that `plan` takes.

pub(crate) mod edits;
mod error;
pub(crate) mod found;
pub(crate) mod layouts;
mod node_conf;
mod node_line;
pub(crate) mod patch;
mod present;
mod text;
pub(crate) mod write;
mod written;

pub(crate) use edits::Edit;
pub(crate) use error::InitError;
pub(crate) use found::Found;
pub(crate) use layouts::LayoutOf;

use crate::alike::groups;
use crate::apply::DesiredState;
use crate::apply::desired::DesiredStateError;
use crate::config::Config;
use crate::inventory::Inventory;
use crate::root::Root;
use crate::slurm::settings::{GresTypes, NodeEntry};
use crate::slurm::{Settings, here, hostlist};
use edits::EditRequest;
use layouts::can_be_cut;
use present::PresentGres;
use text::ConfigText;

/// What is to be written.
#[derive(Debug)]
pub(crate) struct FirstConfig {
    pub config: String,
    /// The layout that it means; `None` in a cluster's, which has none.
    pub layout: Option<LayoutOf>,
    /// What becomes of Slurm's files.
    pub edits: Vec<Edit>,
    /// What is left for a person.
    pub notes: Vec<String>,
}

/// The first configuration of this node. `asked` is the layout that was asked for.
///
/// # Errors
/// [`InitError`]; nothing has been written.
pub(crate) fn node(
    inventory: &Inventory,
    found: Option<&Found>,
    asked: Option<LayoutOf>,
    root: &Root,
) -> Result<FirstConfig, InitError> {
    if !inventory.gpus.iter().any(can_be_cut) {
        return Err(InitError::NoGpu(inventory.node.clone()));
    }
    let layouts = LayoutOf::ALL.map(|of| (of, of.entries(inventory)));
    let left_out = inventory.gpus.iter().filter(|gpu| !can_be_cut(gpu));
    let left_out: Vec<String> = left_out.map(|gpu| format!("GPU {} ({})", gpu.index, gpu.model)).collect();
    let mut notes = Vec::new();
    let mut edits = Vec::new();
    let (meant, settings) = match found {
        None => (asked.unwrap_or_else(|| LayoutOf::default_for(inventory)), None),
        Some(found) => {
            let mut settings = settings(inventory, found, root)?;
            let present = PresentGres::read(found, &inventory.node, &settings, root)?;
            settings.types.aliases = present.aliases(inventory);
            let meant = asked.unwrap_or_else(|| {
                if present.is_shared() { LayoutOf::Current } else { LayoutOf::default_for(inventory) }
            });
            let layout = layouts.iter().find(|(of, _)| *of == meant).map_or(&[][..], |(_, entries)| entries);
            notes.extend(present.losses(inventory, (meant, layout), &settings));
            notes.extend(found.notes());
            if found.is_cached() {
                notes.push(format!(
                    "{}: was sent by slurmctld; edit it there: gresgen init --inventory shows how",
                    found.path.display()
                ));
            } else {
                edits = edits_for(found, std::slice::from_ref(&inventory.node), &settings, root)?;
            }
            (meant, Some(settings))
        }
    };
    let release = found::release();
    let text = ConfigText {
        about: &inventory.node,
        layouts: &layouts,
        meant,
        left_out: &left_out,
        slurm: settings.as_ref(),
        release: release.as_deref(),
    };
    let config = text.render()?;
    check_written(&config, inventory)?;
    Ok(FirstConfig { config, layout: Some(meant), edits, notes })
}

/// The configuration with which the files of many nodes are rendered, on a host that has their slurm.conf.
pub(crate) fn cluster(
    nodes: &[Inventory],
    found: Option<&Found>,
    root: &Root,
) -> Result<FirstConfig, InitError> {
    let found = found.ok_or(InitError::NoSlurm)?;
    let mut settings = Settings { gres_types: GresTypes(found.gres_types()), ..Settings::default() };
    found.set_cluster_paths(&mut settings);
    for node in nodes {
        let attributes =
            found.attributes(&node.node)?.ok_or_else(|| InitError::Unknown(node.node.clone()))?;
        settings.nodes.push(NodeEntry { names: node.node.clone(), attributes });
    }
    settings.nodes = merged(settings.nodes);
    settings.adopt = !found.foreign(&settings, root).is_empty();
    let names: Vec<String> = nodes.iter().map(|node| node.node.clone()).collect();
    let edits = edits_for(found, &names, &settings, root)?;
    let about = hostlist::fold(&names);
    let release = found::release();
    let text = ConfigText {
        about: &about,
        layouts: &[],
        meant: LayoutOf::Current,
        left_out: &[],
        slurm: Some(&settings),
        release: release.as_deref(),
    };
    let config = text.render()?;
    Config::parse("the configuration", &config)?;
    Ok(FirstConfig { config, layout: None, edits, notes: found.notes() })
}

/// Nodes of which the same is said, in one entry.
fn merged(nodes: Vec<NodeEntry>) -> Vec<NodeEntry> {
    let entry = |group: Vec<NodeEntry>| NodeEntry {
        names: hostlist::fold(group.iter().map(|entry| entry.names.as_str())),
        attributes: group[0].attributes.clone(),
    };
    groups(nodes, |one, other| one.attributes == other.attributes).into_iter().map(entry).collect()
}

fn settings(inventory: &Inventory, found: &Found, root: &Root) -> Result<Settings, InitError> {
    let node = &inventory.node;
    let said = found.attributes(node)?.filter(|attributes| !attributes.is_empty());
    let attributes = said.or_else(found::hardware).ok_or_else(|| InitError::Unknown(node.clone()))?;
    let mut settings = Settings {
        node: (*node != here::host_name()).then(|| node.clone()),
        nodes: vec![NodeEntry { names: node.clone(), attributes }],
        gres_types: GresTypes(found.gres_types()),
        ..Settings::default()
    };
    found.set_paths(&mut settings);
    settings.adopt = !found.foreign(&settings, root).is_empty();
    Ok(settings)
}

fn edits_for(
    found: &Found,
    nodes: &[String],
    settings: &Settings,
    root: &Root,
) -> Result<Vec<Edit>, InitError> {
    let entry = settings.nodes.first().map_or("", |entry| &entry.attributes);
    edits::edits(&EditRequest {
        slurm_conf: &found.path,
        conf: &found.conf,
        nodes,
        hardware: entry,
        node_conf: settings.paths.node_conf(),
        plugstack_conf: settings.paths.plugstack_conf(),
        root,
    })
}

/// Reads the configuration back, and plans each of its layouts on a node that nobody uses.
fn check_written(text: &str, inventory: &Inventory) -> Result<(), InitError> {
    let config = Config::parse("the configuration", text)?;
    let mut idle = inventory.clone();
    idle.gpus.iter_mut().flat_map(|gpu| &mut gpu.instances).for_each(|instance| instance.holders.clear());
    for label in config.labels() {
        if let Err(DesiredStateError::Config(error)) = DesiredState::Layout(&config, label).targets(&idle) {
            return Err(error.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
