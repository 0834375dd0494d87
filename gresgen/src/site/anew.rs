//! Making slurmctld read the records of GPUs on request anew, beside the jobs of the node, and seeing that it has.
//!
//! slurmctld looks at the records of a registering node only where its count of them has changed, or where `Gres=` has a
//! type of which there is none (`_node_config_validate`, src/common/gres.c up to 22.05, src/interfaces/gres.c later). So
//! it is told of such a type, and slurmd to register. A registration that was under way comes too early: then both are
//! said again. That it has read them the gate shows, which has another form in each gres.conf.

use std::time::Duration;

use super::Site;
use crate::root::Root;
use crate::slurm::transition::Action;
use crate::slurm::{GresTable, SlurmError};
use crate::wait::Stop;

/// How often it is told. In labs on a busy host of two cores the second time was enough.
const TRIES: u32 = 5;

/// How long it may take until it shows: slurmd registers at once, and slurmctld answers within a second.
const SHOWN: Duration = Duration::from_secs(4);

/// Whether these are the actions that [`Site::read_anew`] does.
pub(super) fn covers(actions: &[Action]) -> bool {
    let all = |action: &Action| matches!(action, Action::ReadAnew { .. } | Action::ReloadSlurmd(_));
    !actions.is_empty() && actions.iter().all(all)
}

impl Site<'_> {
    /// Does it. Jobs go on, and no one of them is given another device.
    ///
    /// # Errors
    /// [`SlurmError`]; slurmctld may work with the records of before.
    pub(crate) fn read_anew(
        &self,
        actions: &[Action],
        table: &GresTable,
        stop: &Stop,
        report: &mut dyn FnMut(Duration, Duration, &str),
    ) -> Result<(), SlurmError> {
        // First, so that no task of what slurmctld opens is resolved with what was.
        let map = self.root.path(Root::DEVICE_MAP);
        device_map::refresh(&map)
            .map_err(|error| SlurmError::refused(format!("{}.slurmd", map.display()), error.to_string()))?;
        let mut last = Ok(());
        for _ in 0..TRIES {
            for action in actions {
                action.run(stop)?;
            }
            last = self.registered(SHOWN, table, stop, report);
            if !matches!(last, Err(SlurmError::Unregistered { .. })) {
                break;
            }
        }
        last
    }
}
