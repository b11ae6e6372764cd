//! Heads: the operators that read the features and give a score a column, trees and linear models.

use super::graph::Node;
use super::linear::Linear;
use super::transform::{Second, Transform};
use super::tree::{self, Ensemble, GROUP};
use super::{ModelDescription, ModelError, number};

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
    columns: Columns,
    scores: Scores,
}

#[derive(Debug)]
enum Columns {
    /// An ensemble a column.
    Trees(Vec<Ensemble>),
    Linear(Linear),
}

/// A head whose only column is its output.
pub(super) enum Single {
    Tree(Ensemble),
    Linear(Linear),
}

impl Head {
    /// Reads a head; `None` for other operators.
    pub(super) fn read(node: &Node, n_features: u32) -> Result<Option<Head>, ModelError> {
        let (columns, scores) = match node.operator.as_str() {
            _ if !node.is_ml() => return Ok(None),
            "TreeEnsemble" | "TreeEnsembleRegressor" | "TreeEnsembleClassifier" => {
                let (ensembles, scores) = tree::read(node, n_features)?;
                (Columns::Trees(ensembles), scores)
            }
            "LinearRegressor" | "LinearClassifier" => {
                let (linear, scores) = Linear::read(node, n_features)?;
                (Columns::Linear(linear), scores)
            }
            _ => return Ok(None),
        };
        Ok(Some(Head { columns, scores }))
    }

    /// The numbers that it gives for a row.
    pub(super) fn width(&self) -> usize {
        if self.scores.second.is_some() { 2 } else { self.scores.columns }
    }

    /// The head alone, where its output is its only column.
    pub(super) fn single(self) -> Result<Single, Head> {
        if self.width() != 1 {
            return Err(self);
        }
        match self.columns {
            Columns::Trees(mut ensembles) if ensembles.len() == 1 => Ok(Single::Tree(ensembles.remove(0))),
            Columns::Linear(linear) => Ok(Single::Linear(linear)),
            Columns::Trees(ensembles) => Err(Head { columns: Columns::Trees(ensembles), ..self }),
        }
    }

    pub(super) fn handles_missing(&self) -> bool {
        matches!(self.columns, Columns::Trees(_))
    }

    /// The output for up to [`GROUP`] rows of `x`, row-major `f32[rows, width]`.
    pub(super) fn run(&self, x: &[f32], width: usize, scratch: &mut tree::Scratch, out: &mut Vec<f32>) {
        let columns = self.scores.columns;
        let mut sums = vec![0.0; GROUP * columns];
        match &self.columns {
            Columns::Trees(ensembles) => {
                for (column, ensemble) in ensembles.iter().enumerate() {
                    for (row, sum) in ensemble.sums(x, width, scratch).into_iter().enumerate() {
                        sums[row * columns + column] = sum;
                    }
                }
            }
            Columns::Linear(linear) => {
                for (row, sums) in x.chunks_exact(width).zip(sums.chunks_exact_mut(columns)) {
                    sums.iter_mut().zip(linear.columns(row)).for_each(|(to, sum)| *to = sum);
                }
            }
        }
        out.clear();
        for sums in sums.chunks_exact_mut(columns).take(x.len() / width) {
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
        match &self.columns {
            Columns::Linear(linear) => linear.describe(),
            Columns::Trees(ensembles) => {
                let start = ModelDescription { kind: "trees", trees: 0, parameters: 0, depth: 0 };
                ensembles.iter().map(Ensemble::describe).fold(start, |all, one| ModelDescription {
                    trees: all.trees + one.trees,
                    parameters: all.parameters + one.parameters,
                    depth: if one.depth > all.depth { one.depth } else { all.depth },
                    ..all
                })
            }
        }
    }
}
