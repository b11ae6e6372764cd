//! Sources: how a value is read from a [`Scene`].
//!
//! To add one, write its file in `source/` and register it in `sources!` below.

use serde::{Deserialize, Serialize};

use crate::column::{Column, Kind};
use crate::scene::Scene;
use crate::schema::Schema;
use crate::tables::StatisticDef;

mod action_rate;
mod age;
mod bm25;
mod count;
mod cross;
mod decayed_count;
mod distinct;
mod dot;
mod field;
mod filter;
mod list_size;
mod matches;
mod mean;
pub(crate) mod overlap;
mod sessions;
mod share;
mod since_last;
mod smoothed_rate;
mod statistic;
mod term_match;
mod terms;
mod text_length;
mod time;

pub(crate) use filter::{Mask, MaskKey};

/// Reads one value a candidate.
pub trait Read {
    /// The kind of the values, where the declarations allow this source.
    ///
    /// # Errors
    /// A sentence that says what is impossible.
    fn kind(&self, declared: &Declared) -> Result<Kind, String>;

    /// A column with a row a candidate.
    fn read(&self, scene: &Scene) -> Column;
}

/// What a spec declares that sources refer to.
#[derive(Clone, Copy, Debug)]
pub struct Declared<'a> {
    /// Fields.
    pub schema: &'a Schema,
    /// Table statistics.
    pub statistics: &'a [StatisticDef],
}

macro_rules! sources {
    ($($key:literal => $variant:ident($type:ty),)*) => {
        /// A source with its settings.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        pub enum Source {
            $(#[doc = concat!("`source = \"", $key, "\"`")] $variant($type),)*
        }

        /// The names a spec can write after `source =`.
        pub const NAMES: &[&str] = &[$($key),*];

        impl Source {
            /// Reads the settings of the source with this name; `None` where there is none.
            ///
            /// # Errors
            /// The deserializer's, for settings that the source does not have.
            pub fn deserialize_named<'de, D: serde::Deserializer<'de>>(
                name: &str,
                settings: D,
            ) -> Option<Result<Source, D::Error>> {
                match name {
                    $($key => Some(<$type>::deserialize(settings).map(Source::$variant)),)*
                    _ => None,
                }
            }

            fn reader(&self) -> &dyn Read {
                match self {
                    $(Source::$variant(source) => source,)*
                }
            }
        }
    };
}

sources! {
    "action_rate" => ActionRate(action_rate::ActionRate),
    "age" => Age(age::Age),
    "bm25" => Bm25(bm25::Bm25),
    "count" => Count(count::Count),
    "cross" => Cross(cross::Cross),
    "decayed_count" => DecayedCount(decayed_count::DecayedCount),
    "distinct" => Distinct(distinct::Distinct),
    "dot" => Dot(dot::Dot),
    "field" => Field(field::Field),
    "list_size" => ListSize(list_size::ListSize),
    "match" => Match(matches::Match),
    "mean" => Mean(mean::Mean),
    "overlap" => Overlap(overlap::Overlap),
    "sessions" => Sessions(sessions::Sessions),
    "share" => Share(share::Share),
    "since_last" => SinceLast(since_last::SinceLast),
    "smoothed_rate" => SmoothedRate(smoothed_rate::SmoothedRate),
    "statistic" => Statistic(statistic::Statistic),
    "term_match" => TermMatch(term_match::TermMatch),
    "text_length" => TextLength(text_length::TextLength),
    "time" => Time(time::Time),
}

impl Read for Source {
    fn kind(&self, declared: &Declared) -> Result<Kind, String> {
        self.reader().kind(declared)
    }

    fn read(&self, scene: &Scene) -> Column {
        self.reader().read(scene)
    }
}

impl Declared<'_> {
    /// The kind of a field.
    ///
    /// # Errors
    /// The field is not declared.
    pub fn field(&self, field: &crate::schema::FieldRef) -> Result<Kind, String> {
        self.schema.find(field).map(|(_, kind)| kind).ok_or_else(|| {
            let known: Vec<&str> = self.schema.fields(field.entity).iter().map(|f| f.name.as_str()).collect();
            format!("there is no field `{field}`; [schema.{}] declares: {}", field.entity.name(), known.join(", "))
        })
    }

    /// Checks that a statistic is declared.
    ///
    /// # Errors
    /// It is not.
    pub fn statistic(&self, name: &str) -> Result<(), String> {
        if self.statistics.iter().any(|s| s.name == name) {
            return Ok(());
        }
        let known: Vec<&str> = self.statistics.iter().map(|s| s.name.as_str()).collect();
        Err(format!("there is no statistic `{name}`; [[tables.statistics]] declares: {}", known.join(", ")))
    }

    /// Checks that a scope's field is one that items can be grouped by.
    ///
    /// # Errors
    /// It is not declared, or neither a category nor tags.
    pub fn scope(&self, scope: &crate::scene::Scope) -> Result<(), String> {
        let crate::scene::Scope::Field(field) = scope else { return Ok(()) };
        match self.field(field)? {
            Kind::Category | Kind::Tags => Ok(()),
            kind => Err(format!("scope `{field}` is a {kind}; items can be grouped by a category or tags")),
        }
    }
}

#[cfg(test)]
mod tests;
