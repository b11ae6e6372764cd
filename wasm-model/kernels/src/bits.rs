//! Bit vectors: a tree of up to 256 leaves is a bit a leaf, and every condition clears the bits of leaves that it rules
//! out; the first bit that is left is the row's leaf. No branch depends on a row.
//!
//! Numbers are replaced by their rank among the block's thresholds of their feature first, which fits a byte, so that
//! one instruction asks a condition of 16 rows. A block takes trees for as long as no feature has more thresholds than
//! that. Each condition rules out the smaller of its two sides, so that it seldom clears bits of more than one byte.
//! (After QuickScorer and RapidScorer: Lucchese et al. 2015, Ye et al. 2018; ranks and smaller sides are ours.)

use crate::GROUP;
use crate::lanes::{LANES, Lanes, Sixteen};
use crate::shape::{Node, Split, Test, Tree};

/// Most leaves of a tree.
const MAX_LEAVES: usize = 256;
/// Most thresholds of a feature in a block: their ranks, and one above for missing numbers, fit a byte.
const MAX_THRESHOLDS: usize = 255;
/// Most features of a block: each may need four planes, and planes are counted in 16 bits.
const MAX_COLUMNS: usize = 1 << 14;
/// Ranks are compared as signed bytes.
const SIGN: u8 = 0x80;

/// Trees after each other, and the ranks they need.
#[derive(Debug)]
pub(crate) struct Block {
    columns: Vec<Column>,
    thresholds: Vec<Segment>,
    planes: usize,
    trees: Vec<Bits>,
    /// How many conditions each byte of each tree has.
    counts: Vec<u8>,
    conditions: Vec<Condition>,
    /// Leaf weights, [`MAX_LEAVES`] of padding at the end.
    leaves: Vec<f64>,
}

/// A feature of a block.
#[derive(Debug)]
struct Column {
    feature: u32,
    /// Its thresholds: whole [`Segment`]s.
    start: u32,
    segments: u32,
    /// Where its ranks go, by [`Ranks`].
    planes: [Option<u16>; 4],
}

/// Thresholds that are looked at together, the last ones of a feature filled up with infinity.
type Segment = [f32; LANES];

/// How a rank stands in a plane: a missing number as the smallest or the largest, and plain or turned round (255 - rank).
#[derive(Clone, Copy)]
struct Ranks {
    missing_is_high: bool,
    turned: bool,
}

/// A tree; its conditions stand by the byte of leaves that they clear, last byte first.
#[derive(Clone, Copy, Debug)]
struct Bits {
    /// Bytes of leaves, 1 to 32.
    bytes: u8,
    /// Its first leaf.
    leaf: u32,
}

/// A condition and what it leaves of one byte of leaves.
#[derive(Clone, Copy, Debug)]
struct Condition {
    plane: u16,
    /// Smaller ranks keep every leaf.
    below: u8,
    /// Leaves that other ranks keep.
    keeps: u8,
}

/// Ranks of a group of rows, a plane of [`GROUP`] bytes a column; kept between groups.
#[derive(Default)]
pub(crate) struct Scratch {
    planes: Vec<[[u8; LANES]; GROUP / LANES]>,
}

/// Whether this kernel can run a tree.
pub(crate) fn takes(tree: &Tree) -> bool {
    tree.leaves() <= MAX_LEAVES && tree.splits().all(|s| matches!(s.test, Test::AtMost(_)))
}

impl Block {
    /// A block of the first trees, and how many they are.
    pub(crate) fn build(trees: &[Tree]) -> (Block, usize) {
        // By feature; most features of a wide model may have none.
        let mut thresholds: Vec<Vec<f32>> = Vec::new();
        let (mut taken, mut columns) = (0, 0);
        for tree in trees.iter().take_while(|t| takes(t)) {
            let mut undo = Vec::new();
            for split in tree.splits() {
                let feature = split.feature as usize;
                if thresholds.len() <= feature {
                    thresholds.resize(feature + 1, Vec::new());
                }
                let sorted = &mut thresholds[feature];
                let threshold = threshold(split);
                let at = sorted.partition_point(|t| *t < threshold);
                if sorted.get(at) != Some(&threshold) {
                    columns += usize::from(sorted.is_empty());
                    sorted.insert(at, threshold);
                    undo.push((feature, at));
                }
            }
            let full = |feature: usize| thresholds[feature].len() > MAX_THRESHOLDS;
            if columns > MAX_COLUMNS || undo.iter().any(|&(feature, _)| full(feature)) {
                for (feature, at) in undo.into_iter().rev() {
                    thresholds[feature].remove(at);
                }
                break;
            }
            taken += 1;
        }
        let mut block = Block {
            columns: Vec::new(),
            thresholds: Vec::new(),
            planes: 0,
            trees: Vec::new(),
            counts: Vec::new(),
            conditions: Vec::new(),
            leaves: Vec::new(),
        };
        for (feature, sorted) in (0..).zip(thresholds).filter(|(_, sorted)| !sorted.is_empty()) {
            let start = block.thresholds.len() as u32;
            block.thresholds.extend(sorted.chunks(LANES).map(|part| {
                let mut segment = [f32::INFINITY; LANES];
                segment[..part.len()].copy_from_slice(part);
                segment
            }));
            let segments = block.thresholds.len() as u32 - start;
            block.columns.push(Column { feature, start, segments, planes: [None; 4] });
        }
        trees[..taken].iter().for_each(|tree| block.push(tree));
        block.leaves.extend([0.0; MAX_LEAVES]);
        (block, taken)
    }

    fn push(&mut self, tree: &Tree) {
        let leaf = self.leaves.len() as u32;
        let sizes = sizes(tree);
        let mut by_byte: [Vec<Condition>; MAX_LEAVES / 8] = std::array::from_fn(|_| Vec::new());
        // Nodes to visit; of each the smaller side first, which gets the lower bits.
        let mut waiting = vec![0u32];
        let mut first = 0;
        while let Some(at) = waiting.pop() {
            let split = match &tree.nodes[at as usize] {
                Node::Leaf(weight) => {
                    self.leaves.push(*weight);
                    first += 1;
                    continue;
                }
                Node::Split(split) => split,
            };
            let (holds, fails) = (at + 1, split.otherwise);
            // The first side is ruled out where the condition says the other one.
            let turned = sizes[fails as usize] < sizes[holds as usize];
            let (smaller, larger) = if turned { (fails, holds) } else { (holds, fails) };
            waiting.extend([larger, smaller]);
            let (plane, below) = self.place(split, turned);
            let ruled_out = first..first + sizes[smaller as usize];
            for (byte, conditions) in by_byte.iter_mut().enumerate() {
                let keeps =
                    (0..8).filter(|bit| !ruled_out.contains(&(byte as u32 * 8 + bit))).fold(0, |k, b| k | 1 << b);
                if keeps != u8::MAX {
                    conditions.push(Condition { plane, below, keeps });
                }
            }
        }
        let bytes = first.div_ceil(8) as u8;
        for conditions in by_byte[..bytes as usize].iter().rev() {
            self.counts.push(conditions.len() as u8);
            self.conditions.extend(conditions);
        }
        self.trees.push(Bits { bytes, leaf });
    }

    /// The plane for a condition, and the ranks there that do not rule out its first side.
    fn place(&mut self, split: &Split, turned: bool) -> (u16, u8) {
        let at = self.columns.partition_point(|c| c.feature < split.feature);
        let column = &mut self.columns[at];
        let segments = &self.thresholds[column.start as usize..][..column.segments as usize];
        let rank = segments.as_flattened().partition_point(|t| *t < threshold(split)) as u8;
        let ranks = Ranks { missing_is_high: !split.missing, turned };
        let plane = *column.planes[ranks.index()].get_or_insert_with(|| {
            self.planes += 1;
            (self.planes - 1) as u16
        });
        // It holds up to `rank`; turned round, it fails from `rank + 1` on, which is `254 - rank` and below.
        let below = if turned { 255 - rank } else { rank + 1 };
        (plane, below ^ SIGN)
    }

    /// Adds each tree's leaf to each row's sum; sums of rows that are not there get some leaf.
    pub(crate) fn add(&self, x: &[f32], width: usize, sums: &mut [f64; GROUP], scratch: &mut Scratch) {
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
        let segments = &self.thresholds[column.start as usize..][..column.segments as usize];
        let mut last = [f32::INFINITY; LANES];
        for (last, segment) in last.iter_mut().zip(&segments[..segments.len() - 1]) {
            *last = segment[LANES - 1];
        }
        let last = Sixteen::load(&last);
        let mut ranks = [0u8; GROUP];
        let mut missing = [0u8; GROUP];
        for (row, x) in x[column.feature as usize..].iter().step_by(width).take(rows).enumerate() {
            let segment = if segments.len() > 1 { last.count_below(*x) as usize } else { 0 };
            let within = Sixteen::load(&segments[segment]).count_below(*x);
            ranks[row] = (segment as u32 * LANES as u32 + within) as u8;
            missing[row] = if x.is_nan() { u8::MAX } else { 0 };
        }
        for ranks_of in Ranks::ALL {
            let Some(plane) = column.planes[ranks_of.index()] else { continue };
            let out = planes[plane as usize].as_flattened_mut();
            for ((out, rank), missing) in out.iter_mut().zip(ranks).zip(missing) {
                *out = ranks_of.of(rank, missing);
            }
        }
    }

    /// Runs all trees on `N` times 16 rows from part `part` on.
    fn run<const N: usize>(&self, part: usize, planes: &[[[u8; LANES]; GROUP / LANES]], sums: &mut [f64; GROUP]) {
        let mut conditions = self.conditions.as_slice();
        let mut counts = self.counts.iter();
        for tree in &self.trees {
            // The first byte with a leaf that is left, and its number of leaves before.
            let mut byte = [Lanes::splat(0); N];
            let mut before = [Lanes::splat(0); N];
            for (number, &count) in (0..tree.bytes).rev().zip(&mut counts) {
                let (own, rest) = conditions.split_at(count as usize);
                conditions = rest;
                let mut left = [Lanes::splat(u8::MAX); N];
                for condition in own {
                    let (below, keeps) = (Lanes::splat(condition.below), Lanes::splat(condition.keeps));
                    let ranks = &planes[condition.plane as usize];
                    for k in 0..N {
                        let all = below.greater(Lanes::load(&ranks[part + k]));
                        left[k] = left[k].and(all.or(keeps));
                    }
                }
                for k in 0..N {
                    let none = left[k].is_zero();
                    byte[k] = none.choose(byte[k], left[k]);
                    before[k] = none.choose(before[k], Lanes::splat(number * 8));
                }
            }
            let weights = &self.leaves[tree.leaf as usize..][..MAX_LEAVES];
            for k in 0..N {
                let mut leaves = [0; LANES];
                byte[k].trailing_zeros().plus(before[k]).store(&mut leaves);
                for (sum, leaf) in sums[(part + k) * LANES..][..LANES].iter_mut().zip(leaves) {
                    *sum += weights[leaf as usize];
                }
            }
        }
    }
}

impl Ranks {
    const ALL: [Ranks; 4] = [
        Ranks { missing_is_high: false, turned: false },
        Ranks { missing_is_high: true, turned: false },
        Ranks { missing_is_high: false, turned: true },
        Ranks { missing_is_high: true, turned: true },
    ];

    fn index(self) -> usize {
        usize::from(self.missing_is_high) + 2 * usize::from(self.turned)
    }

    /// What stands in the plane for a rank; `missing` is 255 for a missing number, whose rank is 0.
    fn of(self, rank: u8, missing: u8) -> u8 {
        let rank = if self.missing_is_high { rank | missing } else { rank };
        rank ^ if self.turned { !SIGN } else { SIGN }
    }
}

/// The number of leaves under each node.
fn sizes(tree: &Tree) -> Vec<u32> {
    let mut sizes = vec![1; tree.nodes.len()];
    // Children come after their parents.
    for (at, node) in tree.nodes.iter().enumerate().rev() {
        if let Node::Split(split) = node {
            sizes[at] = sizes[at + 1] + sizes[split.otherwise as usize];
        }
    }
    sizes
}

/// The threshold of a condition that this kernel takes.
fn threshold(split: &Split) -> f32 {
    match split.test {
        Test::AtMost(threshold) | Test::Equals(threshold) => threshold,
        Test::Never => f32::NEG_INFINITY,
    }
}
