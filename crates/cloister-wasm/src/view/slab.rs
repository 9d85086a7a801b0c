//! Inodes by slot. A copy of the table costs one count; what is changed afterwards is copied page by page.

use super::node::Node;
use std::sync::Arc;

/// Slots of a page.
const SLOTS: usize = 64;

#[derive(Clone, Debug)]
enum Slot {
    /// The next one that is free.
    Free(Option<u32>),
    Used(Arc<Node>),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Slab {
    pages: Arc<Vec<Arc<Vec<Slot>>>>,
    free: Option<u32>,
    next: u32,
}

impl Slab {
    pub(super) fn get(&self, slot: u32) -> Option<&Node> {
        let (page, within) = place(slot);
        match self.pages.get(page)?.get(within)? {
            Slot::Used(node) => Some(node),
            Slot::Free(_) => None,
        }
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Node> {
        match self.slot(slot)? {
            Slot::Used(node) => Some(Arc::make_mut(node)),
            Slot::Free(_) => None,
        }
    }

    /// The slot that the node got; none if all four thousand million are taken.
    pub(super) fn insert(&mut self, node: Node) -> Option<u32> {
        let used = Slot::Used(Arc::new(node));
        if let Some(slot) = self.free {
            let place = self.slot(slot)?;
            if let Slot::Free(next) = std::mem::replace(place, used) {
                self.free = next;
            }
            return Some(slot);
        }
        let slot = self.next;
        self.next = slot.checked_add(1)?;
        let pages = Arc::make_mut(&mut self.pages);
        match pages.last_mut().filter(|page| page.len() < SLOTS) {
            Some(page) => Arc::make_mut(page).push(used),
            None => {
                let mut page = Vec::with_capacity(SLOTS);
                page.push(used);
                pages.push(Arc::new(page));
            }
        }
        Some(slot)
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let free = Slot::Free(self.free);
        if let Some(place) = self.slot(slot).filter(|place| matches!(place, Slot::Used(_))) {
            *place = free;
            self.free = Some(slot);
        }
    }

    fn slot(&mut self, slot: u32) -> Option<&mut Slot> {
        let (page, within) = place(slot);
        Arc::make_mut(Arc::make_mut(&mut self.pages).get_mut(page)?).get_mut(within)
    }
}

fn place(slot: u32) -> (usize, usize) {
    (slot as usize / SLOTS, slot as usize % SLOTS)
}
