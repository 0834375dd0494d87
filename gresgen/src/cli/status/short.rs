//! `gresgen status --short`: a line per GPU.

use std::collections::BTreeMap;

use mig::Profile;

use super::{Status, mode};
use crate::cli::paint::{Cell, Painted, Role, table};
use crate::cli::screen;
use crate::inventory::Gpu;

const HEADINGS: [&str; 6] = ["GPU", "MODEL", "MIG", "IN USE", "MiB USED", "SLICES"];

impl Status {
    pub(super) fn short(&self) -> Painted {
        let mut rows = vec![HEADINGS.map(|heading| Cell::new(Role::Faint, heading)).to_vec()];
        rows.extend(self.inventory.gpus.iter().map(|gpu| self.short_row(gpu)));
        let mut text = Painted::default();
        text.append_rows(&table(&rows, "", screen::line()));
        text
    }

    fn short_row(&self, gpu: &Gpu) -> Vec<Cell> {
        let mut kinds: BTreeMap<Profile, usize> = BTreeMap::new();
        let (mut used, mut all) = (0, 0);
        for (instance, compute) in gpu.devices() {
            *kinds.entry(compute.profile).or_default() += 1;
            used += usize::from(!self.users.of(instance, compute).is_empty());
            all += 1;
        }
        if !gpu.mode.is_on() {
            (used, all) = (usize::from(self.is_used(gpu, None)), 1);
        }
        let kinds: Vec<String> =
            kinds.iter().map(|(profile, count)| format!("{count} x {profile}")).collect();
        let slices = match (gpu.mode.is_on(), kinds.is_empty()) {
            (false, _) => "whole".to_owned(),
            (true, true) => "none".to_owned(),
            (true, false) => kinds.join(", "),
        };
        let load = self.loads.get(&gpu.uuid);
        let memory = load.map_or_else(|| "-".to_owned(), |l| format!("{}/{}", l.used_mib, gpu.memory_mib));
        vec![
            gpu.index.to_string().into(),
            gpu.model.strip_prefix("NVIDIA ").unwrap_or(&gpu.model).into(),
            mode(gpu.mode).into(),
            Cell::new(if used > 0 { Role::Busy } else { Role::Good }, format!("{used}/{all}")),
            memory.into(),
            slices.into(),
        ]
    }
}
