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

/// The place of each text in `names`; both are sorted, `names` distinct.
///
/// Each search begins where the last one ended, in steps that double: few texts in many names cost as little as many.
pub fn places<'a>(names: &[String], texts: impl Iterator<Item = &'a str>) -> Vec<Option<u32>> {
    let mut from = 0;
    let mut place = |text: &str| {
        let mut step = 1;
        while let Some(name) = names.get(from + step - 1) {
            match name.as_str().cmp(text) {
                Ordering::Less => from += step,
                Ordering::Equal => {
                    from += step - 1;
                    return Some(from as u32);
                }
                Ordering::Greater => break,
            }
            step *= 2;
        }
        let end = names.len().min(from + step - 1);
        let found = names[from..end].binary_search_by(|name| name.as_str().cmp(text));
        from += found.unwrap_or_else(|at| at);
        found.is_ok().then_some(from as u32)
    };
    texts.map(&mut place).collect()
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

    #[test]
    fn places_are_those_of_a_search() {
        let names: Vec<String> = (0..40).map(|k| format!("{:02}", 2 * k)).collect();
        let texts: Vec<String> = (0..90).map(|k| format!("{k:02}")).collect();
        for (from, step) in [(0, 1), (1, 1), (0, 7), (3, 30), (85, 1)] {
            let wanted: Vec<&str> = texts[from..].iter().step_by(step).map(String::as_str).collect();
            // A text may come twice.
            for wanted in [wanted.clone(), wanted.iter().flat_map(|text| [*text; 2]).collect()] {
                let searched: Vec<Option<u32>> = wanted
                    .iter()
                    .map(|text| names.binary_search_by(|n| n.as_str().cmp(text)).ok().map(|i| i as u32))
                    .collect();
                assert_eq!(places(&names, wanted.into_iter()), searched);
            }
        }
        assert_eq!(places(&[], ["a"].into_iter()), [None]);
    }
}
