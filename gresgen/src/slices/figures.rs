//! Memory and multiprocessors of a type by its name alone, where there is neither driver nor inventory.

use std::collections::BTreeMap;

use mig::{BOARDS, Board, Spec};

use crate::slurm::Names;

/// The least and the most that devices of a type have, of all the models that its name fits.
pub(crate) type Span<T> = Option<(T, T)>;

/// What is known of a type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figure {
    pub memory_mib: Span<u64>,
    /// Streaming multiprocessors.
    pub sms: Span<u32>,
}

impl Figure {
    fn add(&mut self, memory_mib: Option<u64>, sms: Option<u32>) {
        self.memory_mib = wider(self.memory_mib, memory_mib);
        self.sms = wider(self.sms, sms);
    }
}

fn wider<T: Ord + Copy>(span: Span<T>, value: Option<T>) -> Span<T> {
    match (span, value) {
        (Some((least, most)), Some(value)) => Some((least.min(value), most.max(value))),
        (span, value) => span.or(value.map(|value| (value, value))),
    }
}

/// Types of all models that have a table.
#[derive(Debug)]
pub(crate) struct Figures {
    /// As this site's configuration names them.
    named: BTreeMap<String, Figure>,
    /// By every other spelling that says the model, and by the profile alone.
    spelled: BTreeMap<String, Figure>,
}

impl Figures {
    /// The figures by the names of a site.
    pub(crate) fn new(names: &Names<'_>) -> Self {
        let mut figures = Figures { named: BTreeMap::new(), spelled: BTreeMap::new() };
        for board in BOARDS {
            let specs = board.geometry().specs;
            for product in board.names {
                specs.iter().for_each(|spec| figures.slices(names, product, spec));
                figures.whole(names, product, board);
            }
        }
        figures
    }

    /// What is known of a type.
    pub(crate) fn of(&self, gres_type: &str) -> Figure {
        let named = self.named.get(gres_type);
        named.or_else(|| self.spelled.get(&gres_type.to_lowercase())).copied().unwrap_or_default()
    }

    fn slices(&mut self, names: &Names<'_>, product: &str, spec: &Spec) {
        let whole = (spec.profile, spec.sms);
        let parts = spec.compute.iter().map(|part| (spec.compute_name(part), part.sms));
        for (profile, sms) in std::iter::once(whole).chain(parts.filter(|(name, _)| *name != spec.profile)) {
            if let Ok(name) = names.slice(product, profile) {
                self.named.entry(name.to_string()).or_default().add(spec.memory_mib, sms);
            }
            let spellings = names.models(product).into_iter().map(|model| format!("{model}_{profile}"));
            for spelling in spellings.chain([profile.to_string()]) {
                self.spelled.entry(spelling).or_default().add(spec.memory_mib, sms);
            }
        }
    }

    fn whole(&mut self, names: &Names<'_>, product: &str, board: &Board) {
        if let Ok(name) = names.whole(product) {
            self.named.entry(name.to_string()).or_default().add(board.memory_mib, board.sms);
        }
        for model in names.models(product) {
            self.spelled.entry(model).or_default().add(board.memory_mib, board.sms);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slurm::names::TypeSettings;

    #[test]
    fn a_name_says_what_its_devices_have() {
        let settings = TypeSettings {
            aliases: [("1g.5gb".to_owned(), "small".to_owned())].into(),
            ..TypeSettings::default()
        };
        let figures = Figures::new(&Names::new(&settings).unwrap());
        for name in ["small", "1g.5gb", "A100_1g.5gb", "nvidia_a100_1g.5gb"] {
            assert_eq!(figures.of(name).memory_mib, Some((4864, 4864)), "{name}");
            assert_eq!(figures.of(name).sms, Some((14, 14)), "{name}");
        }
        let h100 = figures.of("nvidia_h100_80gb_hbm3_3g.40gb");
        assert!(h100.memory_mib.is_some_and(|(least, _)| least > 38_000), "{h100:?}");
        // Of an A100-80GB and of an H100: what is promised is the least of them.
        let (least, most) = figures.of("1g.10gb").memory_mib.unwrap();
        assert!(least <= most && least > 9_000, "{least} {most}");
        assert_eq!(figures.of("v100"), Figure::default());
    }
}
