//! Makes the profile of a bundle: what the values of its training rows were like, by buckets.
//!
//! Nothing is in it that fewer than `min_users` users had: a bucket of numbers has at least that many or is empty, a
//! string of fewer is one of the others, and where fewer had a value, or none, or one of the others, nobody had.
//! The same rows give the same bytes.

use edge_runtime::profile::{FeatureProfile, Profile, Spread};
use shared_features::column::{Column, NO_TIME};
use shared_features::encoder::Values;
use shared_features::transform::Training;

/// Buckets of numbers with about equally many rows; values that fill one get one of their own.
const BUCKETS: usize = 16;
/// Most strings that are kept of a feature.
const NAMES: usize = 32;

/// The profile of training rows; `values` and `training` have the same rows.
pub fn of(values: &Values, training: &Training) -> Profile {
    let rows = training.users.len();
    let mut distinct = Distinct::new(training);
    let features = values.columns.iter().map(|column| feature(column, training, &mut distinct, rows));
    Profile { rows: rows as u64, features: features.collect() }
}

fn feature(column: &Column, training: &Training, distinct: &mut Distinct, rows: usize) -> FeatureProfile {
    let has = has_value(column);
    let users_where = |wanted: bool| {
        let users = training.users.iter().zip(&has).filter(move |(_, has)| **has == wanted);
        users.map(|(&user, _)| user)
    };
    if !distinct.are_enough(users_where(true)) {
        return FeatureProfile { missing: rows as u64, spread: Spread::Unknown };
    }
    let missing = if distinct.are_enough(users_where(false)) { users_where(false).count() } else { 0 };
    let spread = match column {
        Column::Number(numbers) => {
            // Both zeros are one number.
            let known = numbers.iter().zip(training.users).filter(|(x, _)| !x.is_nan());
            spread_of_numbers(known.map(|(&x, &user)| (x + 0.0, user)).collect(), distinct)
        }
        Column::Category(categories) => {
            let codes = categories.codes.iter().zip(training.users).map(|(&code, &user)| (code, user));
            let known = codes.filter(|(code, _)| (*code as usize) < categories.names.len());
            spread_of_strings(&categories.names, known.collect(), distinct)
        }
        Column::Tags(tags) => {
            let rows = tags.offsets.windows(2).zip(training.users);
            let codes = rows.flat_map(|(row, &user)| {
                tags.codes[row[0] as usize..row[1] as usize].iter().map(move |&code| (code, user))
            });
            spread_of_strings(&tags.names, codes.collect(), distinct)
        }
        Column::Vector(_) | Column::Timestamp(_) => Spread::Unknown,
    };
    FeatureProfile { missing: missing as u64, spread }
}

/// Whether each row has a value.
fn has_value(column: &Column) -> Vec<bool> {
    match column {
        Column::Number(numbers) => numbers.iter().map(|x| !x.is_nan()).collect(),
        Column::Category(c) => c.codes.iter().map(|&code| (code as usize) < c.names.len()).collect(),
        Column::Tags(tags) => tags.offsets.windows(2).map(|row| row[0] < row[1]).collect(),
        Column::Vector(vectors) => {
            vectors.data.chunks(vectors.width.max(1) as usize).map(|row| row.iter().any(|x| !x.is_nan())).collect()
        }
        Column::Timestamp(times) => times.iter().map(|&time| time != NO_TIME).collect(),
    }
}

/// Buckets of numbers of enough users, each with its user.
fn spread_of_numbers(mut known: Vec<(f32, u32)>, distinct: &mut Distinct) -> Spread {
    known.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let up_to = |x: f32| known.partition_point(|(known, _)| *known <= x);
    let users = |from: usize, to: usize| known[from..to].iter().map(|(_, user)| *user);
    let (mut cuts, mut ends) = (Vec::<f32>::new(), Vec::new());
    for cut in candidates(&known, distinct) {
        let (start, end) = (ends.last().copied().unwrap_or(0), up_to(cut));
        if start == end || distinct.are_enough(users(start, end)) {
            cuts.push(cut);
            ends.push(end);
        }
    }
    // The last bucket takes in those before it until it has enough; all of them together do.
    while let Some(&start) = ends.last()
        && start < known.len()
        && !distinct.are_enough(users(start, known.len()))
    {
        cuts.pop();
        ends.pop();
    }
    ends.push(known.len());
    let counts = ends.iter().scan(0, |start, &end| Some((end - std::mem::replace(start, end)) as u64)).collect();
    Spread::Numbers { cuts, counts }
}

/// Where buckets may be cut: at quantiles, and on both sides of a value that fills a bucket.
fn candidates(known: &[(f32, u32)], distinct: &mut Distinct) -> Vec<f32> {
    let mut cuts = Vec::new();
    for k in 1..=BUCKETS {
        let x = known[(k * known.len() / BUCKETS).max(1) - 1].0;
        let range = known.partition_point(|(y, _)| *y < x)..known.partition_point(|(y, _)| *y <= x);
        let fills =
            range.len() * BUCKETS >= known.len() && distinct.are_enough(known[range].iter().map(|(_, user)| *user));
        if fills && x > f32::MIN {
            cuts.push(x.next_down());
        }
        // The greatest number of all bounds nothing, unless many have it.
        if fills || k < BUCKETS {
            cuts.push(x);
        }
    }
    cuts.sort_by(f32::total_cmp);
    cuts.dedup();
    cuts
}

/// Buckets of strings, by codes with their users.
fn spread_of_strings(names: &[String], mut known: Vec<(u32, u32)>, distinct: &mut Distinct) -> Spread {
    known.sort_unstable();
    let groups = known.chunk_by(|a, b| a.0 == b.0);
    let mut frequent: Vec<(usize, u32)> = groups
        .filter(|group| distinct.are_enough(group.iter().map(|(_, user)| *user)))
        .map(|group| (group.len(), group[0].0))
        .collect();
    // Names are in order, so codes are.
    frequent.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    frequent.truncate(NAMES);
    frequent.sort_by_key(|(_, code)| *code);
    let is_other = |code: &u32| frequent.binary_search_by_key(code, |(_, code)| *code).is_err();
    let others: Vec<u32> = known.iter().filter(|(code, _)| is_other(code)).map(|(_, user)| *user).collect();
    let others = if distinct.are_enough(others.iter().copied()) { others.len() } else { 0 };
    if frequent.is_empty() && others == 0 {
        return Spread::Unknown;
    }
    Spread::Strings {
        names: frequent.iter().map(|(_, code)| names[*code as usize].clone()).collect(),
        counts: frequent.iter().map(|(rows, _)| *rows as u64).chain([others as u64]).collect(),
    }
}

/// Tells whether rows are of enough different users.
struct Distinct {
    enough: u32,
    /// The last question in which each user was counted.
    asked: Vec<u32>,
    question: u32,
}

impl Distinct {
    fn new(training: &Training) -> Distinct {
        let users = training.users.iter().max().map_or(0, |&user| user as usize + 1);
        Distinct { enough: training.min_users.max(1), asked: vec![0; users], question: 0 }
    }

    fn are_enough(&mut self, users: impl Iterator<Item = u32>) -> bool {
        self.question += 1;
        let mut count = 0;
        for user in users {
            let asked = &mut self.asked[user as usize];
            if *asked != self.question {
                *asked = self.question;
                count += 1;
                if count >= self.enough {
                    return true;
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use shared_features::column::{Categories, NO_CODE, TagSets};
    use shared_features::numeric::MISSING;

    use super::*;

    fn one(column: Column, users: &[u32], min_users: u32) -> FeatureProfile {
        let values = Values { rows: users.len() as u32, columns: vec![column] };
        let mut profile = of(&values, &Training { users, min_users });
        assert_eq!(profile.rows, users.len() as u64);
        profile.features.remove(0)
    }

    fn numbers(feature: &FeatureProfile) -> (&[f32], &[u64]) {
        match &feature.spread {
            Spread::Numbers { cuts, counts } => (cuts, counts),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_are_cut_at_quantiles() {
        let users: Vec<u32> = (0..1600).collect();
        let feature = one(Column::Number((0..1600).map(|x| x as f32).collect()), &users, 20);
        let (cuts, counts) = numbers(&feature);
        assert_eq!(cuts, (1..16).map(|k| (100 * k - 1) as f32).collect::<Vec<_>>());
        assert_eq!(counts, [100; 16]);
    }

    #[test]
    fn a_value_that_fills_a_bucket_has_one_of_its_own() {
        let users: Vec<u32> = (0..100).collect();
        let column = Column::Number((0..100).map(|x| if x < 70 { 0.0 } else { 1.0 }).collect());
        let feature = one(column, &users, 20);
        let (cuts, counts) = numbers(&feature);
        assert_eq!(cuts, [0f32.next_down(), 0.0, 1f32.next_down(), 1.0]);
        assert_eq!(counts, [0, 70, 0, 30, 0]);
    }

    #[test]
    fn a_bucket_of_few_users_is_merged() {
        // A hundred rows of two users above those of many.
        let column = Column::Number((0..200).map(|x| x as f32).collect());
        let users: Vec<u32> = (0..200).map(|row| if row < 100 { row } else { row % 2 }).collect();
        let (values, training) =
            (Values { rows: 200, columns: vec![column] }, Training { users: &users, min_users: 20 });
        let profile = of(&values, &training);
        let (cuts, counts) = numbers(&profile.features[0]);
        let Column::Number(x) = &values.columns[0] else { unreachable!() };
        for k in 0..counts.len() {
            let (low, high) = (if k == 0 { f32::MIN } else { cuts[k - 1] }, cuts.get(k).copied().unwrap_or(f32::MAX));
            let inside = x.iter().zip(&users).filter(|(x, _)| **x > low && **x <= high);
            let distinct: std::collections::BTreeSet<u32> = inside.map(|(_, user)| *user).collect();
            assert!(distinct.len() >= 20, "bucket {k} of {cuts:?} has {} users", distinct.len());
        }
        assert!(cuts.len() >= 2, "{cuts:?}");
        assert_eq!(counts.iter().sum::<u64>(), 200);
    }

    #[test]
    fn what_few_users_had_nobody_had() {
        let users = [0, 1, 2, 3, 4, 5];
        let few = one(Column::Number(vec![1.0, MISSING, MISSING, MISSING, MISSING, MISSING]), &users, 2);
        assert_eq!(few, FeatureProfile { missing: 6, spread: Spread::Unknown });
        let most = one(Column::Number(vec![1.0, 1.0, 1.0, 1.0, 1.0, MISSING]), &users, 2);
        assert_eq!(most.missing, 0);
        assert_eq!(numbers(&most).1.iter().sum::<u64>(), 5);
    }

    #[test]
    fn strings_of_few_users_are_others() {
        let names = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let column = Categories { names: names.clone(), codes: vec![0, 0, 1, 1, 2, 3, NO_CODE, NO_CODE] };
        let strings = |names: &[&str], counts: &[u64]| Spread::Strings {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            counts: counts.to_vec(),
        };
        let users = [0, 1, 5, 5, 2, 3, 6, 7];
        let feature = one(Column::Category(column.clone()), &users, 2);
        assert_eq!(feature, FeatureProfile { missing: 2, spread: strings(&["a"], &[2, 4]) });
        // The others are of one user only.
        let feature = one(Column::Category(column), &[0, 1, 5, 5, 5, 5, 6, 7], 2);
        assert_eq!(feature.spread, strings(&["a"], &[2, 0]));
        let tags = TagSets { names, offsets: vec![0, 2, 3, 3], codes: vec![0, 1, 0] };
        let feature = one(Column::Tags(tags), &[0, 1, 2], 1);
        assert_eq!(feature, FeatureProfile { missing: 1, spread: strings(&["a", "b"], &[2, 1, 0]) });
    }

    #[test]
    fn many_strings_are_the_most_frequent_ones() {
        let names: Vec<String> = (0..40).map(|k| format!("{k:02}")).collect();
        let codes: Vec<u32> = (0..40).flat_map(|k| vec![k; 1 + k as usize]).collect();
        let users: Vec<u32> = (0..codes.len() as u32).collect();
        let feature = one(Column::Category(Categories { names: names.clone(), codes }), &users, 1);
        let Spread::Strings { names: kept, counts } = feature.spread else { panic!() };
        assert_eq!(kept, names[8..]);
        assert_eq!(counts.last(), Some(&36));
    }
}
