//! From a [`Context`] to the text of Slurm's files.

pub(crate) mod context;
mod error;
pub(crate) mod line;
mod templates;

use device_map::DeviceMap;

pub use context::Context;
pub use error::RenderError;
pub use templates::Templates;
pub(crate) use templates::plain;

use crate::files::{Kind, Output, Scope};
use crate::inventory::Inventory;
use crate::path_error::PathError;
use crate::root::Root;
use crate::slurm::{GresTable, Release, Settings, hostlist};

/// Renders gres.conf, the node line, cgroup.conf and the plugstack fragment, in this order.
///
/// # Errors
/// [`RenderError::Template`]: file, line and the source at fault.
pub fn slurm_files(
    templates: &Templates,
    context: &Context,
    settings: &Settings,
    root: &Root,
) -> Result<Vec<Output>, RenderError> {
    let lists = context.nodes.iter().map(|node| hostlist::expand(&node.names).unwrap_or_default());
    let scope = Scope::Cluster(lists.flatten().collect());
    let file = |(kind, template, path): (Kind, &'static str, &str)| {
        let text = format!("{}\n{}", Output::MARKER, templates.render(template, context)?);
        let mut output = Output::new(kind, root.path(path), text, scope.clone(), root);
        if kind == Kind::CgroupConf {
            output.unread = context.release.unread_cgroup_keys();
        }
        Ok(output)
    };
    let paths = &settings.paths;
    [
        (Kind::GresConf, "gres.conf.j2", paths.gres_conf()),
        (Kind::NodeConf, "gresgen-node.conf.j2", paths.node_conf()),
        (Kind::CgroupConf, "cgroup.conf.j2", paths.cgroup_conf()),
        (Kind::PlugstackConf, "mig.conf.j2", paths.plugstack_conf()),
    ]
    .into_iter()
    .map(file)
    .collect()
}

/// The device map as a file. It is read back as the plugin will, so that none is written which that refuses.
///
/// # Errors
/// [`RenderError::Path`].
pub fn device_map(map: &DeviceMap, root: &Root) -> Result<Output, RenderError> {
    let (path, text) = (root.path(Root::DEVICE_MAP), map.to_string());
    let what = match text.parse::<DeviceMap>() {
        Ok(read) if read == *map => {
            return Ok(Output::new(Kind::DeviceMap, path, text, Scope::Node(map.node.clone()), root));
        }
        Ok(_) => "would read as other devices".to_owned(),
        Err(error) => format!("would be refused: {error}"),
    };
    Err(PathError::new(path, what).into())
}

/// The file of what orders have closed, see [`closed`](crate::slurm::closed).
pub(crate) fn closed(inventory: &Inventory, root: &Root) -> Output {
    let (path, text) = (root.path(Root::CLOSED), crate::slurm::closed::text(inventory));
    Output::new(Kind::Closed, path, text, Scope::Node(inventory.node.clone()), root)
}

/// Everything a node needs: Slurm's files, and the map that carries the digest of the gres.conf among them.
pub fn node(
    inventory: &Inventory,
    table: &GresTable,
    settings: &Settings,
    release: Release,
    root: &Root,
) -> Result<Vec<Output>, RenderError> {
    let context = Context::of_node(inventory, table, settings, release, root)?;
    let templates = Templates::load(&root.path(Root::TEMPLATES))?;
    let mut outputs = slurm_files(&templates, &context, settings, root)?;
    for output in &mut outputs {
        output.scope = Scope::Node(inventory.node.clone());
    }
    let map = table.map(inventory, digest(&outputs[0].text));
    outputs.push(device_map(&map, root)?);
    Ok(outputs)
}

/// Digest of a gres.conf above its kept lines, as the device map carries it: 64-bit FNV-1a. It tells versions of a file apart; it
/// protects nothing.
pub fn digest(text: impl AsRef<[u8]>) -> String {
    let hash = crate::files::head(text.as_ref()).iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}
