//! What Slurm takes next: of idle instances of a profile it takes the first of a node (`_pick_gres_topo` in
//! src/plugins/select/cons_tres/gres_select_filter.c), which is not the best. So the others are closed.
//!
//! The best one is that which stands least and shortest in the way of larger ones ([`Blocked`]). Few are open of each
//! profile, so that the next job finds one, and when it has gone the next best opens: not while a job waits that can have what is
//! open, since Slurm would give it either. What is closed serves who waits as what is open does, some seconds later.

use std::collections::BTreeMap;

use super::Look;
use crate::blocked::Blocked;
use crate::masks::bits;
use crate::order::Order;

/// Open instances of the smallest profile on the menu, which most jobs ask for; and of each other.
const STOCK: (usize, usize) = (2, 1);

/// Another one has to be better by so much before one closes: the time that a slice stands in the way of one place as large as it,
/// so that none opens and closes as time goes by.
const MARGIN: u64 = 3600;

/// An idle instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Idle {
    blocks: u64,
    node: usize,
    gpu: usize,
    bit: usize,
    open: bool,
    /// It may be closed or opened now.
    loose: bool,
    /// A job that waits can have it, and has it in a moment.
    awaited: bool,
}

impl Look<'_> {
    /// After all jobs were looked at, and what was kept for none of them is decided.
    pub(super) fn steer(&mut self) {
        let nodes = self.work.tables.len();
        let (mut open, mut close) = (vec![Vec::new(); nodes], vec![Vec::new(); nodes]);
        for ((model, lane), mut all) in self.idle() {
            all.sort_unstable();
            let is_smallest = lane + 1 == self.work.cluster.models[model].menu.len();
            let stock = if is_smallest { STOCK.0 } else { STOCK.1 };
            let awaited = all.iter().any(|idle| idle.awaited);
            all.retain(|idle| !idle.awaited);
            let enough = all.get(stock - 1).map_or(u64::MAX, |last| last.blocks);
            let mut lacks = stock.saturating_sub(all.iter().filter(|idle| idle.open).count());
            let mut better = 0;
            for Idle { blocks, node, gpu, bit, open: is_open, loose, .. } in all {
                if is_open {
                    // Those that are open now, not those that will be: there is always enough to be had.
                    let worse = better >= stock && blocks > enough.saturating_add(MARGIN);
                    better += 1;
                    if worse && loose {
                        close[node].push((gpu, 1u128 << bit));
                    }
                } else if loose && !awaited && (lacks > 0 || blocks <= enough) {
                    lacks = lacks.saturating_sub(1);
                    open[node].push((gpu, 1u128 << bit));
                }
            }
        }
        for (node, (open, close)) in open.into_iter().zip(close).enumerate() {
            self.order(node, &open, None, Order::Open);
            self.order(node, &close, None, Order::Close);
        }
    }

    /// Idle instances, by model and profile, but those that are kept or go.
    fn idle(&self) -> BTreeMap<(usize, usize), Vec<Idle>> {
        let mut found: BTreeMap<(usize, usize), Vec<Idle>> = BTreeMap::new();
        for (node, table) in self.work.tables.iter().enumerate().filter(|(_, table)| table.usable) {
            for (gpu, desk) in table.desks.iter().enumerate().filter(|(_, desk)| desk.cuttable) {
                let idle = (desk.open | desk.closed & !desk.kept) & !desk.stays | desk.taken;
                if idle == 0 {
                    continue;
                }
                let model = self.work.model(desk);
                let blocked = Blocked::new(model, desk.stays, &desk.ends, self.work.now());
                let free = !(table.underway || table.cut || table.worn);
                for (lane, &profile) in model.menu.iter().enumerate() {
                    for bit in bits(idle & model.masks.profile(profile)) {
                        let has = |mask: u128| mask >> bit & 1 == 1;
                        let loose = free && !has(desk.coming | desk.claimed);
                        let blocks = blocked.by(1 << bit);
                        let (open, awaited) = (has(desk.open), has(desk.taken));
                        let one = Idle { blocks, node, gpu, bit, open, loose, awaited };
                        found.entry((desk.model, lane)).or_default().push(one);
                    }
                }
            }
        }
        found
    }
}
