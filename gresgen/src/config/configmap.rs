//! mig-parted's file inside a Kubernetes ConfigMap, as NVIDIA's GPU operator keeps it (assets/state-mig-manager,
//! `data: {config.yaml: |...}`) and `kubectl get configmap -o yaml` prints it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::snippet::Source;

#[derive(Deserialize)]
struct ConfigMap {
    kind: String,
    #[serde(default)]
    data: BTreeMap<String, String>,
}

/// The key under which mig-manager looks for the file.
const KEY: &str = "config.yaml";

/// The file in a ConfigMap: the one of mig-manager's name, or the only one. Everything else is the file itself.
pub(super) fn unwrap(source: Source) -> Source {
    // Most files are none, and need not be read twice.
    if !source.text.contains("ConfigMap") {
        return source;
    }
    let Ok(ConfigMap { kind, mut data }) = serde_saphyr::from_str::<ConfigMap>(&source.text) else {
        return source;
    };
    let only = match data.len() {
        1 => data.pop_first(),
        _ => data.remove_entry(KEY),
    };
    match only {
        Some((key, text)) if kind == "ConfigMap" => {
            // Places are those of the file inside.
            Source { name: format!("{} (data: {key})", source.name), text }
        }
        _ => source,
    }
}
