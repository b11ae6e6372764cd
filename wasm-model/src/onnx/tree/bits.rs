//! Bit vectors: a tree of up to 64 leaves is a bit a leaf, and a condition that does not hold clears the bits of the
//! leaves it rules out; the first bit that is left is the row's leaf. No branch depends on a row.
//!
//! Numbers are replaced by their rank among the block's thresholds of their feature first, which fits a byte, so that
//! one instruction asks a condition of 16 rows. A block takes trees for as long as no feature has more thresholds than
//! that. (QuickScorer and RapidScorer, Lucchese et al. 2015, Ye et al. 2018, with ranks of our own.)
//!
//! A missing number has rank 0 for conditions that hold then, and the largest for others, so a feature may need both.

use std::collections::BTreeMap;

use super::GROUP;
use super::lanes::{LANES, Lanes};
use super::shape::{Node, Split, Test, Tree};

/// Most leaves of a tree.
const MAX_LEAVES: usize = 64;
/// Most thresholds of a feature in a block: their ranks, and one above for missing numbers, fit a byte.
const MAX_THRESHOLDS: usize = 255;
/// Most features of a block: each may need two planes, and planes are counted in 16 bits.
const MAX_COLUMNS: usize = 1 << 15;
/// Ranks are compared as signed bytes.
const SIGN: u8 = 0x80;

/// Trees after each other, and the ranks they need.
#[derive(Debug)]
pub(super) struct Block {
    columns: Vec<Column>,
    thresholds: Vec<f32>,
    planes: usize,
    trees: Vec<Bits>,
    conditions: Vec<Condition>,
    /// Leaf weights, [`MAX_LEAVES`] of padding at the end.
    leaves: Vec<f64>,
}

/// A feature of a block.
#[derive(Debug)]
struct Column {
    feature: u32,
    /// Its thresholds.
    start: u32,
    len: u32,
    /// Where its ranks go, with a missing number as rank 0 and as the largest.
    low: Option<u16>,
    high: Option<u16>,
}

/// A tree: its conditions by the byte of leaves that they rule out, last byte first.
#[derive(Clone, Copy, Debug)]
struct Bits {
    /// Bytes of leaves, 1 to 8.
    bytes: u8,
    /// Conditions of each byte.
    counts: [u8; 8],
    /// Its first leaf.
    leaf: u32,
}

/// A condition and the leaves of one byte that it rules out where it does not hold.
#[derive(Clone, Copy, Debug)]
struct Condition {
    plane: u16,
    /// It holds for ranks up to this one.
    rank: u8,
    clears: u8,
}

/// Ranks of a group of rows, a plane of [`GROUP`] bytes a column; kept between groups.
#[derive(Default)]
pub(super) struct Scratch {
    planes: Vec<[[u8; LANES]; GROUP / LANES]>,
}

/// Whether this kernel can run a tree.
pub(super) fn takes(tree: &Tree) -> bool {
    tree.leaves() <= MAX_LEAVES && tree.splits().all(|s| matches!(s.test, Test::AtMost(_)))
}

impl Block {
    /// A block of the first trees, and how many they are.
    pub(super) fn build(trees: &[Tree]) -> (Block, usize) {
        let mut thresholds: BTreeMap<u32, Vec<f32>> = BTreeMap::new();
        let mut taken = 0;
        for tree in trees.iter().take_while(|t| takes(t)) {
            let mut undo = Vec::new();
            for split in tree.splits() {
                let sorted = thresholds.entry(split.feature).or_default();
                let threshold = threshold(split);
                let at = sorted.partition_point(|t| *t < threshold);
                if sorted.get(at) != Some(&threshold) {
                    sorted.insert(at, threshold);
                    undo.push((split.feature, at));
                }
            }
            let full = |feature: &u32| thresholds[feature].len() > MAX_THRESHOLDS;
            if thresholds.len() > MAX_COLUMNS || undo.iter().any(|(feature, _)| full(feature)) {
                for (feature, at) in undo.into_iter().rev() {
                    if let Some(sorted) = thresholds.get_mut(&feature) {
                        sorted.remove(at);
                    }
                }
                thresholds.retain(|_, sorted| !sorted.is_empty());
                break;
            }
            taken += 1;
        }
        let mut block = Block {
            columns: Vec::new(),
            thresholds: Vec::new(),
            planes: 0,
            trees: Vec::new(),
            conditions: Vec::new(),
            leaves: Vec::new(),
        };
        for (feature, sorted) in thresholds {
            block.columns.push(Column {
                feature,
                start: block.thresholds.len() as u32,
                len: sorted.len() as u32,
                low: None,
                high: None,
            });
            block.thresholds.extend(sorted);
        }
        trees[..taken].iter().for_each(|tree| block.push(tree));
        block.leaves.extend([0.0; MAX_LEAVES]);
        (block, taken)
    }

    fn push(&mut self, tree: &Tree) {
        let leaf = self.leaves.len() as u32;
        let mut by_byte: [Vec<Condition>; 8] = Default::default();
        // Leaves before each node, in preorder.
        let mut before = Vec::with_capacity(tree.nodes.len());
        let mut leaves = 0u32;
        for node in &tree.nodes {
            before.push(leaves);
            if let Node::Leaf(weight) = node {
                self.leaves.push(f64::from(*weight));
                leaves += 1;
            }
        }
        for (node, first) in tree.nodes.iter().zip(&before) {
            let Node::Split(split) = node else { continue };
            // Those of the child for which it holds.
            let ruled_out = u64::MAX >> (64 - (before[split.otherwise as usize] - first)) << first;
            let (plane, rank) = self.place(split);
            for (conditions, clears) in by_byte.iter_mut().zip(ruled_out.to_le_bytes()) {
                if clears != 0 {
                    conditions.push(Condition { plane, rank, clears });
                }
            }
        }
        let bytes = leaves.div_ceil(8) as u8;
        let mut counts = [0; 8];
        for (count, conditions) in counts.iter_mut().zip(&by_byte) {
            *count = conditions.len() as u8;
        }
        for conditions in by_byte.iter().rev() {
            self.conditions.extend(conditions);
        }
        self.trees.push(Bits { bytes, counts, leaf });
    }

    /// A condition's plane and rank.
    fn place(&mut self, split: &Split) -> (u16, u8) {
        let at = self.columns.partition_point(|c| c.feature < split.feature);
        let column = &mut self.columns[at];
        let thresholds = &self.thresholds[column.start as usize..][..column.len as usize];
        let rank = thresholds.partition_point(|t| *t < threshold(split)) as u8;
        let plane = if split.missing { &mut column.low } else { &mut column.high };
        let plane = *plane.get_or_insert_with(|| {
            self.planes += 1;
            (self.planes - 1) as u16
        });
        (plane, rank ^ SIGN)
    }

    /// Adds each tree's leaf to each row's sum; sums of rows that are not there get some leaf.
    pub(super) fn add(&self, x: &[f32], width: usize, sums: &mut [f64; GROUP], scratch: &mut Scratch) {
        scratch.planes.resize(self.planes, [[0; LANES]; GROUP / LANES]);
        let rows = x.len() / width;
        for column in &self.columns {
            self.rank(column, x, width, rows, &mut scratch.planes);
        }
        if rows > GROUP / 2 {
            self.run::<4>(0, &scratch.planes, sums);
        } else {
            for part in 0..rows.div_ceil(LANES) {
                self.run::<1>(part, &scratch.planes, sums);
            }
        }
    }

    /// The ranks of a column: how many of its thresholds are below each number.
    fn rank(&self, column: &Column, x: &[f32], width: usize, rows: usize, planes: &mut [[[u8; LANES]; GROUP / LANES]]) {
        let thresholds = &self.thresholds[column.start as usize..][..column.len as usize];
        let mut low = [0u8; GROUP];
        let mut high = [0u8; GROUP];
        for row in 0..rows {
            let x = x[row * width + column.feature as usize];
            let (mut first, mut size) = (0, thresholds.len());
            while size > 1 {
                let half = size / 2;
                first = if thresholds[first + half - 1] < x { first + half } else { first };
                size -= half;
            }
            let rank = (first + usize::from(thresholds[first] < x)) as u8;
            low[row] = if x.is_nan() { SIGN } else { rank ^ SIGN };
            high[row] = if x.is_nan() { u8::MAX ^ SIGN } else { rank ^ SIGN };
        }
        for (plane, ranks) in [(column.low, &low), (column.high, &high)] {
            if let Some(plane) = plane {
                planes[plane as usize].as_flattened_mut().copy_from_slice(ranks);
            }
        }
    }

    /// Runs all trees on `N` times 16 rows from part `part` on.
    fn run<const N: usize>(&self, part: usize, planes: &[[[u8; LANES]; GROUP / LANES]], sums: &mut [f64; GROUP]) {
        let mut conditions = self.conditions.as_slice();
        for tree in &self.trees {
            let mut leaf = [Lanes::splat(0); N];
            for byte in (0..tree.bytes as usize).rev() {
                let (own, rest) = conditions.split_at(tree.counts[byte] as usize);
                conditions = rest;
                let mut left = [Lanes::splat(u8::MAX); N];
                for condition in own {
                    let (rank, clears) = (Lanes::splat(condition.rank), Lanes::splat(condition.clears));
                    let ranks = &planes[condition.plane as usize];
                    for k in 0..N {
                        let fails = Lanes::load(&ranks[part + k]).greater(rank);
                        left[k] = left[k].and_not(fails.and(clears));
                    }
                }
                for k in 0..N {
                    leaf[k] = left[k].trailing_zeros().or_if_8(leaf[k].plus(8));
                }
            }
            let weights = &self.leaves[tree.leaf as usize..][..MAX_LEAVES];
            for k in 0..N {
                let mut leaves = [0; LANES];
                leaf[k].store(&mut leaves);
                for (sum, leaf) in sums[(part + k) * LANES..][..LANES].iter_mut().zip(leaves) {
                    *sum += weights[leaf as usize % MAX_LEAVES];
                }
            }
        }
    }
}

/// The threshold of a condition that this kernel takes.
fn threshold(split: &Split) -> f32 {
    match split.test {
        Test::AtMost(threshold) | Test::Equals(threshold) => threshold,
        Test::Never => f32::NEG_INFINITY,
    }
}
