//! What nobody waits for: cordons are lifted, and idle GPUs go back to their default cut.

use super::Look;
use crate::order::{Change, Cut, Order};
use crate::work::Desk;

impl Look<'_> {
    /// After all jobs were looked at.
    pub(super) fn rest(&mut self) {
        for node in 0..self.work.tables.len() {
            if self.work.tables[node].underway {
                continue;
            }
            // With steering what is idle and closed is opened as it is needed.
            let idle = |desk: &Desk| if self.policy.steer { 0 } else { desk.closed };
            let closed = |desk: &Desk| (idle(desk) | desk.draining) & !desk.kept;
            let mut lifted: Vec<(usize, u128)> =
                self.work.tables[node].desks.iter().map(closed).enumerate().collect();
            let changes = self.back_to_default(node);
            for change in &changes {
                lifted[change.gpu].1 = 0;
            }
            self.order(node, &lifted, None, Order::Open);
            if !changes.is_empty() {
                self.work.tables[node].cut = true;
                self.orders.push(Order::Cut(Cut { node, gpus: changes, job: None, open: true }));
            }
        }
    }

    fn back_to_default(&self, node: usize) -> Vec<Change> {
        let table = &self.work.tables[node];
        if table.cut || table.worn || table.refuses || !table.usable {
            return Vec::new();
        }
        let idle = |desk: &Desk| {
            let nobody =
                desk.cuttable && desk.held & !(desk.open | desk.closed) == 0 && desk.stays | desk.kept == 0;
            nobody
                && desk.coming == 0
                && ![0, desk.held].contains(&self.work.model(desk).default)
                && self.now.saturating_sub(desk.changed) >= self.policy.linger
        };
        let change = |(gpu, desk): (usize, &Desk)| {
            let model = self.work.model(desk);
            Change {
                gpu,
                destroy: model.masks.placements(desk.held & !model.default),
                create: model.masks.placements(model.default & !desk.held),
                wanted: Vec::new(),
            }
        };
        table.desks.iter().enumerate().filter(|(_, desk)| idle(desk)).map(change).collect()
    }
}
