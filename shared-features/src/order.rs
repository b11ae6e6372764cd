//! Sorting by comparison: one compiled sort for all of the guest, where each generic one would add kilobytes.

use std::cmp::Ordering;

/// The numbers below `len`, sorted by what they stand for; equal ones keep their order.
pub fn sorted(len: usize, compare: &dyn Fn(usize, usize) -> Ordering) -> Vec<u32> {
    let mut order: Vec<u32> = (0..len as u32).collect();
    order.sort_unstable_by(|a, b| compare(*a as usize, *b as usize).then(a.cmp(b)));
    order
}

/// Texts, sorted by their bytes.
pub fn sorted_texts<'a>(texts: &[&'a str]) -> Vec<&'a str> {
    sorted(texts.len(), &|a, b| texts[a].cmp(texts[b])).into_iter().map(|i| texts[i as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ones_keep_their_order() {
        let keys = [3, 1, 3, 2, 1];
        assert_eq!(sorted(keys.len(), &|a, b| keys[a].cmp(&keys[b])), [1, 4, 3, 0, 2]);
        assert_eq!(sorted_texts(&["b", "", "ä", "a"]), ["", "a", "b", "ä"]);
    }
}
