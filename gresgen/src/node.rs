//! One node: read it, work out a change, carry it out.
//!
//! ```text
//! read -> Picture -> prepare(desired state) -> Prepared -> carry_out -> Done
//! ```
//!
//! A [`Prepared`] is the change as a value: its steps, what is in their way, the files that become others, what is
//! then to be done in Slurm, and why it would be refused. `plan` prints it, `apply` carries the same out, `check`
//! takes from it how far the node is from its layout, and a boot is a way to call it. Nothing is planned twice on
//! one picture of the world, and nothing is carried out on an old one: between the look and the last step the
//! [`fence`] keeps Slurm from giving away what goes.

pub(crate) mod boot;
mod carry_out;
mod change_hooks;
pub(crate) mod chosen;
mod engine;
pub(crate) mod error;
mod events;
mod fence;
mod files;
mod gating;
mod mode;
pub(crate) mod ordered;
mod prepared;
pub(crate) mod undo;

use std::time::Duration;

use crate::apply::desired::unequivocal;
use crate::config::Selector;
use crate::files::Kind;
use crate::holders;
use crate::hooks::Hooks;
use crate::inventory::{Gpu, Holder, Inventory};
use crate::nvml::{Driver, DriverError};
use crate::root::Root;
use crate::site::{KnownAllocations, Site, SlurmState};
use crate::slurm::{Settings, slots};

pub(crate) use carry_out::Done;
pub(crate) use error::ApplyError;
pub(crate) use events::{Event, Events, Waiting};
pub(crate) use files::{FileChange, Write};
pub(crate) use prepared::Prepared;

/// A node whose driver is open.
pub(crate) struct Node<'a> {
    /// The prefix of its paths.
    pub root: &'a Root,
    pub settings: &'a Settings,
    pub driver: Driver,
    /// What it is to Slurm.
    pub site: Site<'a>,
}

/// What a change is told beside its desired state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Options<'a> {
    /// What was asked for, in words: for the journal and for the reason of a drain.
    pub what: &'a str,
    /// The layout that is chosen with it, which later boots restore; `None` where none is.
    pub layout: Option<&'a str>,
    /// GPUs to leave out.
    pub without: &'a [Selector],
    /// Whether a GPU may be reset to activate its MIG mode.
    pub reset: bool,
    /// Whether files of the site are taken over.
    pub adopt: bool,
    /// How long jobs may take to end, where they are to be waited for.
    pub drain: Option<Duration>,
    /// Whether Slurm's daemons are told, rather than what is left to do said.
    pub tell_slurm: bool,
    /// Whether only the files of a boot are written.
    pub boot: bool,
    /// What is done around the change, where anything is.
    pub hooks: Option<&'a Hooks>,
}

impl Options<'_> {
    /// Whether files of this kind are written. A boot never writes the node line: what slurmctld is told changes by
    /// an apply alone.
    fn writes(&self, kind: Kind, site: &Site<'_>) -> bool {
        match kind {
            Kind::DeviceMap => true,
            Kind::GresConf | Kind::Closed => site.in_slurm,
            _ => site.in_slurm && !self.boot,
        }
    }
}

/// A node at one moment.
pub(crate) struct Picture {
    /// Its GPUs, with everybody who holds an instance.
    pub inventory: Inventory,
    /// What Slurm works with.
    pub slurm: SlurmState,
    /// GPUs that were to be left out and are not there: a dead one may be one that the driver no longer lists.
    pub absent: Vec<Selector>,
}

impl Node<'_> {
    /// Reads the node: the driver, who holds what, and what Slurm works with.
    ///
    /// # Errors
    /// The driver's, and a GPU to be left out that is not said clearly. Holders that cannot be asked for are unknown ones,
    /// and a slurmctld that does not answer is part of the picture.
    pub(crate) fn read(&self, options: &Options<'_>) -> Result<Picture, ApplyError> {
        let (mut inventory, absent) = self.inventory(options)?;
        unequivocal(&inventory, &absent)?;
        let slurm = self.site.look();
        self.look_ahead(&mut inventory, &slurm.allocations, options);
        Ok(Picture { inventory, absent, slurm })
    }

    /// The GPUs as the driver has them, and those to be left out that are not there.
    fn inventory(&self, options: &Options<'_>) -> Result<(Inventory, Vec<Selector>), DriverError> {
        let mut inventory = self.driver.inventory(&self.site.node)?;
        slots::complete(&mut inventory, self.settings, self.root);
        let absent = leave_out(&mut inventory, options.without);
        Ok((inventory, absent))
    }

    /// The same with everybody who holds a GPU or an instance.
    fn held(&self, options: &Options<'_>) -> Result<Inventory, DriverError> {
        let (mut inventory, _) = self.inventory(options)?;
        self.annotate(&mut inventory, &self.site.allocations());
        Ok(inventory)
    }

    /// Whether files of the site are taken over: because of what was asked, or because the configuration says so.
    fn adopts(&self, options: &Options<'_>) -> bool {
        options.adopt || self.settings.adopt
    }

    /// Adds who will hold a GPU or an instance when the first step is made: services that are stopped for it do not.
    fn look_ahead(&self, inventory: &mut Inventory, allocations: &KnownAllocations, options: &Options<'_>) {
        self.annotate(inventory, allocations);
        let Some(hooks) = options.hooks else { return };
        let stays = |holder: &Holder| match holder {
            Holder::Process { pid, .. } => !hooks.stops(*pid, self.root),
            _ => true,
        };
        for gpu in &mut inventory.gpus {
            gpu.holders.retain(stays);
            gpu.instances.iter_mut().for_each(|instance| instance.holders.retain(stays));
        }
    }

    fn annotate(&self, inventory: &mut Inventory, allocations: &KnownAllocations) {
        holders::annotate(inventory, self.root);
        self.site.annotate(inventory, allocations);
    }
}

/// Leaves out GPUs, and gives the selectors that name none, or do not say which.
fn leave_out(inventory: &mut Inventory, selectors: &[Selector]) -> Vec<Selector> {
    let is = |gpu: &Gpu, selector: &Selector| selector.matches(&gpu.into());
    let (clear, absent): (Vec<_>, Vec<_>) = selectors.iter().cloned().partition(|selector| {
        unequivocal(inventory, std::slice::from_ref(selector)).is_ok()
            && inventory.gpus.iter().any(|gpu| is(gpu, selector))
    });
    inventory.gpus.retain(|gpu| !clear.iter().any(|s| is(gpu, s)));
    absent
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which is meant is not guessed: neither is left out, and the change is refused.
    #[test]
    fn digits_of_two_gpus_leave_out_none() {
        let mut gpus = [0, 1, 2].map(Gpu::bare_a100).to_vec();
        gpus[1].uuid = "GPU-abcd1111-0".to_owned();
        gpus[2].uuid = "GPU-abcd2222-0".to_owned();
        let whole = Inventory { gpus, ..Inventory::default() };
        let left_out = |text: &str| {
            let (mut inventory, selector) = (whole.clone(), text.parse().unwrap());
            let absent = leave_out(&mut inventory, std::slice::from_ref(&selector));
            let refused = unequivocal(&inventory, &absent).map_err(|error| error.to_string());
            (inventory.gpus.len(), absent.len(), refused)
        };
        assert_eq!(left_out("GPU-abcd1"), (2, 0, Ok(())));
        assert_eq!(left_out("GPU-ffff"), (3, 1, Ok(())));
        let both = "GPU-abcd: begins the UUIDs of 2 GPUs".to_owned();
        assert_eq!(left_out("GPU-abcd"), (3, 1, Err(both)));
    }
}
