//! `cross`: two fields as one category, such as the user's country with the item's genre.
//!
//! It is a source and no transform.
//! A transform sees its own column only, and what a source reads is what is logged, so that logged values encode
//! again to the same vectors.
//! `one_hot` then fits a vocabulary of the pairs, with its rule of `min_users`, and `hash` puts them into buckets.

use serde::{Deserialize, Serialize};

use super::overlap::as_tags;
use super::{Declared, Read};
use crate::column::{Categories, Column, Kind, TagSets};
use crate::numeric;
use crate::scene::Scene;
use crate::schema::FieldRef;

/// Pairs of the values of two fields, written `left&right`; missing where either is.
///
/// A side is a category, a boolean (`false`, `true`), a number with bounds (the number of bounds that are at most
/// it, as in `buckets`) or tags; tags on one side give tags, a pair for each.
/// `&` and `\` in the left value are written `\&` and `\\`, so that different pairs never have one name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cross {
    left: FieldRef,
    right: FieldRef,
    #[serde(default)]
    left_bounds: Option<Vec<f64>>,
    #[serde(default)]
    right_bounds: Option<Vec<f64>>,
}

impl Read for Cross {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        let left = check(declared, &self.left, "left_bounds", self.left_bounds.as_deref())?;
        let right = check(declared, &self.right, "right_bounds", self.right_bounds.as_deref())?;
        match (left, right) {
            (Kind::Tags, Kind::Tags) => Err(format!(
                "`{}` and `{}` are both tags, which have too many pairs; cross tags with a category, or use overlap",
                self.left, self.right
            )),
            (Kind::Tags, _) | (_, Kind::Tags) => Ok(Kind::Tags),
            _ => Ok(Kind::Category),
        }
    }

    fn read(&self, scene: &Scene) -> Column {
        let (left, right) = (scene.field(&self.left), scene.field(&self.right));
        let tags = matches!((&left, &right), (Column::Tags(_), _) | (_, Column::Tags(_)));
        let (left, right) = (side(left, self.left_bounds.as_deref()), side(right, self.right_bounds.as_deref()));
        let pairs_of = |row| {
            let rights = right.codes_of(row);
            left.codes_of(row).iter().flat_map(move |&l| rights.iter().map(move |&r| (l, r)))
        };
        // Each pair is named once, however many rows have it.
        let packed = |(l, r): (u32, u32)| u64::from(l) << 32 | u64::from(r);
        let mut pairs: Vec<u64> = (0..scene.rows()).flat_map(pairs_of).map(packed).collect();
        pairs.sort_unstable();
        pairs.dedup();
        let name = |pair: &u64| join(&left.names[(pair >> 32) as usize], &right.names[*pair as u32 as usize]);
        let names: Vec<String> = pairs.iter().map(name).collect();
        let place = |pair| pairs.partition_point(|p| *p < packed(pair));
        let named = |row| pairs_of(row).map(|pair| names[place(pair)].as_str());
        if tags {
            let cells: Vec<Vec<&str>> = (0..scene.rows()).map(|row| named(row).collect()).collect();
            return Column::Tags(TagSets::collect(&cells));
        }
        let cells: Vec<Option<&str>> = (0..scene.rows()).map(|row| named(row).next()).collect();
        Column::Category(Categories::collect(&cells))
    }
}

fn check(declared: &Declared, field: &FieldRef, key: &str, bounds: Option<&[f64]>) -> Result<Kind, String> {
    let kind = declared.field(field)?;
    match (kind, bounds) {
        (Kind::Number, Some(bounds)) => {
            let ascending = bounds.windows(2).all(|w| w[0] < w[1]) && !bounds.iter().any(|b| b.is_nan());
            if bounds.is_empty() || !ascending {
                return Err(format!("`{key}` must be in ascending order, at least one"));
            }
            Ok(kind)
        }
        (Kind::Number, None) => Err(format!("`{field}` is a number; give it `{key}`, such as [18, 30]")),
        (Kind::Category | Kind::Boolean | Kind::Tags, None) => Ok(kind),
        (Kind::Category | Kind::Boolean | Kind::Tags, Some(_)) => {
            Err(format!("`{field}` is a {kind}, which has no bounds; remove `{key}`"))
        }
        _ => Err(format!("`{field}` is a {kind}; cross takes categories, booleans, tags and numbers with bounds")),
    }
}

/// The values of one side as names, at most one a row unless they are tags.
fn side(column: Column, bounds: Option<&[f64]>) -> TagSets {
    let Column::Number(numbers) = column else { return as_tags(column) };
    let name = |&x: &f32| {
        let known = !numeric::is_missing(x);
        known.then(|| match bounds {
            Some(bounds) => bounds.partition_point(|b| *b <= f64::from(x)).to_string(),
            None => (x != 0.0).to_string(),
        })
    };
    let names: Vec<Option<String>> = numbers.iter().map(name).collect();
    let cells: Vec<Option<&str>> = names.iter().map(Option::as_deref).collect();
    as_tags(Column::Category(Categories::collect(&cells)))
}

fn join(left: &str, right: &str) -> String {
    format!("{}&{right}", left.replace('\\', r"\\").replace('&', r"\&"))
}
