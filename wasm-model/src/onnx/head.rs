//! Heads: the operators that read the features and give a score a column, trees and linear models.

use super::graph::Node;
use super::linear::{self, Linear};
use super::transform::{Second, Transform, logistic};
use super::tree::{self, Ensemble};
use super::{Exact, ModelDescription, ModelError, number};

/// Most classes or targets.
pub(super) const MAX_COLUMNS: usize = 1024;

/// What becomes of a head's columns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scores {
    /// Columns with weights.
    pub(super) columns: usize,
    /// How one column becomes two.
    pub(super) second: Option<Second>,
    pub(super) transform: Transform,
}

/// A head of any number of columns.
#[derive(Debug)]
pub(super) struct Head {
    columns: Vec<Column>,
    scores: Scores,
}

/// A sum of the features.
#[derive(Debug)]
enum Column {
    Trees(Ensemble),
    Linear(Linear),
}

/// A model whose score is one column of a head, which can be explained exactly.
#[derive(Debug)]
pub(super) struct Single {
    column: Column,
    /// Whether the score is the logistic function of the sum.
    logistic: bool,
}

impl Head {
    /// Reads a head; `None` for other operators.
    pub(super) fn read(node: &Node, n_features: u32) -> Result<Option<Head>, ModelError> {
        if !node.is_ml() {
            return Ok(None);
        }
        let (columns, scores) = match node.operator.as_str() {
            "TreeEnsemble" | "TreeEnsembleRegressor" | "TreeEnsembleClassifier" => {
                let (ensembles, scores) = tree::read(node, n_features)?;
                (ensembles.into_iter().map(Column::Trees).collect(), scores)
            }
            "LinearRegressor" | "LinearClassifier" => {
                let (columns, scores) = linear::read(node, n_features)?;
                (columns.into_iter().map(Column::Linear).collect(), scores)
            }
            _ => return Ok(None),
        };
        Ok(Some(Head { columns, scores }))
    }

    /// The numbers that it gives for a row.
    pub(super) fn width(&self) -> usize {
        if self.scores.second.is_some() { 2 } else { self.scores.columns }
    }

    /// The model whose score is the number at `place`, where that is a sum, or a logistic function of one.
    pub(super) fn single(mut self, place: usize) -> Result<Single, Head> {
        let Scores { second, transform, .. } = self.scores;
        let logistic = match (second, transform) {
            // The first of two classes is what the second leaves of it.
            (Some(_), _) if place != 1 => return Err(self),
            (Some(_), transform) => transform == Transform::Logistic,
            (None, _) if self.columns.len() == 1 => false,
            (None, Transform::None) => false,
            (None, Transform::Logistic) => true,
            (None, _) => return Err(self),
        };
        let column = if second.is_some() { 0 } else { place };
        Ok(Single { column: self.columns.swap_remove(column), logistic })
    }

    pub(super) fn handles_missing(&self) -> bool {
        self.columns.iter().all(Column::handles_missing)
    }

    /// The output for each row of `x`, row-major `f32[rows, width]`.
    pub(super) fn run(&self, x: &[f32], width: usize, out: &mut Vec<f32>) {
        let columns = self.columns.len();
        let mut sums = vec![0.0; x.len() / width * columns];
        for (at, column) in self.columns.iter().enumerate() {
            let mut places = sums.iter_mut().skip(at).step_by(columns);
            column.sums(x, width, &mut |sum| {
                if let Some(place) = places.next() {
                    *place = sum;
                }
            });
        }
        out.clear();
        for sums in sums.chunks_exact_mut(columns) {
            match self.scores.second {
                Some(second) => out.extend(self.scores.transform.of_one(second, sums[0]).map(number)),
                None => {
                    self.scores.transform.apply(sums);
                    out.extend(sums.iter().map(|&x| number(x)));
                }
            }
        }
    }

    pub(super) fn describe(&self) -> ModelDescription {
        let start = ModelDescription { kind: "linear", trees: 0, parameters: 0, depth: 0 };
        self.columns.iter().map(Column::describe).fold(start, |all, one| ModelDescription {
            kind: one.kind,
            trees: all.trees + one.trees,
            parameters: all.parameters + one.parameters,
            depth: if one.depth > all.depth { one.depth } else { all.depth },
        })
    }
}

impl Column {
    fn sums(&self, x: &[f32], width: usize, give: &mut dyn FnMut(f64)) {
        match self {
            Column::Trees(ensemble) => ensemble.sums(x, width, give),
            Column::Linear(linear) => linear.sums(x, width, give),
        }
    }

    fn handles_missing(&self) -> bool {
        matches!(self, Column::Trees(_))
    }

    fn describe(&self) -> ModelDescription {
        match self {
            Column::Trees(ensemble) => ensemble.describe(),
            Column::Linear(linear) => linear.describe(),
        }
    }
}

impl Single {
    /// Appends a score for each row of `x`.
    pub(super) fn score(&self, x: &[f32], width: usize, out: &mut Vec<f32>) {
        let logistic = |sum| if self.logistic { logistic(sum) } else { sum };
        self.column.sums(x, width, &mut |sum| out.push(number(logistic(sum))));
    }

    /// Appends the sum for each row of `x`, before a logistic function.
    pub(super) fn raw(&self, x: &[f32], width: usize, out: &mut Vec<f32>) {
        self.column.sums(x, width, &mut |sum| out.push(number(sum)));
    }

    /// How the sum comes about.
    pub(super) fn exact(&self) -> Option<Exact<'_>> {
        match &self.column {
            Column::Trees(ensemble) => {
                let (forest, base, scale) = ensemble.exact()?;
                Some(Exact::Trees { forest, base, scale })
            }
            Column::Linear(Linear { coefficients, intercept }) => {
                Some(Exact::Linear { coefficients, intercept: *intercept })
            }
        }
    }

    pub(super) fn handles_missing(&self) -> bool {
        self.column.handles_missing()
    }

    pub(super) fn describe(&self) -> ModelDescription {
        self.column.describe()
    }
}
