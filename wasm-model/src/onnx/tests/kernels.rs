//! Every kernel equals a plain walk to the bit, and no bytes make the engine panic.

use proptest::prelude::*;

use super::arrays::*;
use super::*;

fn walk(tree: &Tree, row: &[f32]) -> f32 {
    match tree {
        Tree::Leaf(weight) => *weight,
        Tree::Split(mode, feature, value, missing, a, b) => {
            let holds = holds(mode, row[*feature as usize], *value, *missing);
            walk(if holds { a } else { b }, row)
        }
    }
}

/// A tree of 1 to 300 leaves that asks one kind of question.
fn binary_tree() -> impl Strategy<Value = Tree> {
    let mode = prop::sample::select(vec!["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]);
    (mode, 0usize..300, any::<u64>()).prop_map(|(mode, splits, seed)| {
        let mut state = seed | 1;
        let mut next = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let mut tree = Tree::Leaf(0.5);
        for _ in 0..splits {
            // Grow a random leaf.
            let mut at = &mut tree;
            while let Tree::Split(.., a, b) = at {
                at = if next() % 2 == 0 { a } else { b };
            }
            let threshold = next() as f32 / (1u32 << 29) as f32 - 2.0;
            let weight = |n: u32| n as f32 / (1u32 << 30) as f32 - 1.0;
            let (a, b) = (leaf(weight(next())), leaf(weight(next())));
            *at = Tree::Split(mode, i64::from(next() % 2), threshold, next() % 3 == 0, a, b);
        }
        tree
    })
}

fn equals_a_plain_walk(trees: &[Tree], rows: &[(f32, f32)]) -> Result<(), TestCaseError> {
    let model = Model::load(&Arrays::of(trees).bytes(), 2).unwrap();
    let x: Vec<f32> = rows.iter().flat_map(|(a, b)| [*a, *b]).collect();
    let mut got = Vec::new();
    model.score(&x, &mut got);
    for (row, got) in x.chunks(2).zip(&got) {
        let mut sum = 0.0f64;
        for tree in trees {
            sum += f64::from(walk(tree, row));
        }
        prop_assert_eq!(got.to_bits(), (sum as f32).to_bits());
    }
    prop_assert_eq!(got.len(), rows.len());
    Ok(())
}

proptest! {
    #[test]
    fn kernels_equal_a_plain_walk_bit_for_bit(
        trees in prop::collection::vec(any_tree(), 1..8),
        rows in prop::collection::vec((any_number(), any_number()), 1..150),
    ) {
        equals_a_plain_walk(&trees, &rows)?;
    }

    /// As trees are in practice: `<=` or `<` throughout, so that bit vectors run all but the largest.
    #[test]
    fn kernels_of_every_size_equal_a_plain_walk_bit_for_bit(
        trees in prop::collection::vec(binary_tree(), 1..40),
        rows in prop::collection::vec((any_number(), any_number()), 1..150),
    ) {
        equals_a_plain_walk(&trees, &rows)?;
    }

    #[test]
    fn altered_files_never_panic(trees in prop::collection::vec(any_tree(), 1..4), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), cut in any::<prop::sample::Index>()) {
        let mut bytes = Arrays::of(&trees).bytes();
        let whole = bytes.len();
        for (at, value) in flips {
            bytes[at.index(whole)] = value;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(whole)]] {
            if let Ok(model) = Model::load(bytes, 2) {
                model.score(&[0.5, f32::NAN, -1.0, 1e30], &mut Vec::new());
            }
        }
    }
}
