//! Counts everything in a view again, by walking it: what the properties call after every step.

use super::super::View;
use super::super::node::{FIRST, Id, Kind, Zone};
use super::super::tree::ENTRY_COST;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Panics where the view contradicts itself: charges, link counts, parents, and nodes that nothing holds.
pub(crate) fn audit(view: &View) {
    let tree = &view.tree;
    let mut names: BTreeMap<u32, u32> = BTreeMap::new();
    let mut waiting: VecDeque<u32> = [tree.root].into();
    let mut seen: BTreeSet<u32> = [tree.root].into();
    for descriptor in view.descriptors.table.iter().flatten() {
        if let super::super::descriptors::Open::Node(Id::Own(slot)) = descriptor.open {
            seen.insert(slot);
            names.entry(slot).or_default();
        }
    }
    while let Some(directory) = waiting.pop_front() {
        tree.entries(Id::Own(directory), FIRST, |_, name, id| {
            assert!(super::super::resolve::is_name(name));
            assert_eq!(tree.lookup(Id::Own(directory), name), Ok(Some(id)));
            let Id::Own(slot) = id else { return Ok(true) };
            let count = names.entry(slot).or_default();
            *count += 1;
            if let Kind::Directory(below) = &tree.node(slot)?.kind {
                assert_eq!((*count, below.parent), (1, directory));
                waiting.push_back(slot);
            }
            Ok(true)
        })
        .unwrap();
    }
    let (mut bytes, mut inodes) = (0, 0);
    for (slot, links) in &names {
        let node = tree.node(*slot).unwrap();
        assert_eq!(
            if *slot == tree.root { 1 } else { node.links },
            if *slot == tree.root { 1 } else { *links }
        );
        assert!(node.links > 0 || seen.contains(slot));
        if node.zone != Zone::Own {
            continue;
        }
        let count = u64::from((*links).max(1));
        inodes += count;
        bytes += count * ENTRY_COST;
        match &node.kind {
            Kind::File(content) => {
                let held: u64 = content.chunks().map(|(_, chunk)| chunk.len() as u64).sum();
                assert_eq!(held, content.held());
                assert!(content.size() <= tree.limits.file_bytes);
                bytes += held;
            }
            Kind::Symlink(target) => bytes += target.len() as u64,
            Kind::Directory(_) | Kind::Null => {}
        }
    }
    let usage = view.usage();
    assert_eq!((usage.bytes, usage.inodes), (bytes, inodes));
    assert!(usage.bytes <= tree.limits.bytes && usage.inodes <= tree.limits.inodes);
    assert!(view.descriptors.table.len() <= tree.limits.open_files);
}
