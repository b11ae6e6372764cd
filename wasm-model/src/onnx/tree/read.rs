//! Reads a tree ensemble, whatever its operator: an ensemble a column, and what becomes of their sums.

use tree_kernels::Tree;

use super::arena::Arena;
use super::{Ensemble, arrays, indexed};
use crate::onnx::ModelError;
use crate::onnx::graph::Node;
use crate::onnx::head::{MAX_COLUMNS, Scores};
use crate::onnx::transform::{Second, Transform};

/// The ensembles of TreeEnsembleRegressor, TreeEnsembleClassifier or TreeEnsemble.
///
/// # Errors
/// Anything that scoring could not rely on, or whose meaning is not clear, by the operator's name.
pub(in super::super) fn read(node: &Node, n_features: u32) -> Result<(Vec<Ensemble>, Scores), ModelError> {
    let (operator, read): (_, fn(&Node, u32) -> Result<_, String>) = match node.operator.as_str() {
        "TreeEnsembleClassifier" => ("TreeEnsembleClassifier", classifier),
        "TreeEnsembleRegressor" => ("TreeEnsembleRegressor", regressor),
        _ => ("TreeEnsemble", ensemble),
    };
    let transform = match node.int("post_transform", -1) {
        _ if operator != "TreeEnsemble" => node.text("post_transform", "NONE"),
        -1 | 0 => "NONE",
        1 => "SOFTMAX",
        2 => "LOGISTIC",
        3 => "SOFTMAX_ZERO",
        4 => "PROBIT",
        _ => "of an unknown number",
    };
    let transform = Transform::named(transform, operator)?;
    let (ensembles, second) = read(node, n_features).map_err(|reason| ModelError::Node { operator, reason })?;
    let columns = ensembles.len();
    Ok((ensembles, Scores { columns, second, transform }))
}

type Read = (Vec<Ensemble>, Option<Second>);

fn regressor(node: &Node, n_features: u32) -> Result<Read, String> {
    let columns = targets(node)?;
    let average = match node.text("aggregate_function", "SUM") {
        "SUM" => false,
        "AVERAGE" => true,
        other => return Err(format!("aggregate_function {other} is not supported")),
    };
    let bases = bases(node)?;
    if !bases.is_empty() && bases.len() != columns {
        return Err(format!("{} base_values, expected {columns}", bases.len()));
    }
    let (arena, name) = arrays::read(node, n_features, &arrays::TARGETS, columns)?;
    let count = average.then_some(arena.roots.len());
    Ok((ensembles(arena.lay_out(columns, &name)?, &bases, count), None))
}

fn ensemble(node: &Node, n_features: u32) -> Result<Read, String> {
    let columns = targets(node)?;
    let average = match node.int("aggregate_function", 1) {
        0 => true,
        1 => false,
        2 => return Err("aggregate_function MIN is not supported".into()),
        3 => return Err("aggregate_function MAX is not supported".into()),
        other => return Err(format!("aggregate_function {other} is unknown")),
    };
    let (arena, name) = indexed::read(node, n_features, columns)?;
    let count = average.then_some(arena.roots.len());
    Ok((ensembles(arena.lay_out(columns, &name)?, &[], count), None))
}

fn classifier(node: &Node, n_features: u32) -> Result<Read, String> {
    let classes = node.labels();
    if !(2..=MAX_COLUMNS).contains(&classes) {
        return Err(format!("{classes} class labels; 2 to {MAX_COLUMNS} are allowed"));
    }
    let bases = bases(node)?;
    if classes == 2 && node.ints("class_ids").iter().all(|&class| class == 0) {
        // Two classes with weights for one.
        if bases.len() > 1 {
            return Err("two base_values beside weights of one class: what they add to is not clear".into());
        }
        let (arena, name) = arrays::read(node, n_features, &arrays::CLASSES, 1)?;
        let second = if arena.votes() { Second::Complement } else { Second::Opposite };
        return Ok((ensembles(arena.lay_out(1, &name)?, &bases, None), Some(second)));
    }
    let (arena, name) = arrays::read(node, n_features, &arrays::CLASSES, classes)?;
    check_classes(&arena, classes, &bases)?;
    Ok((ensembles(arena.lay_out(classes, &name)?, &bases, None), None))
}

/// Refuses what onnxruntime answers row by row in ways that nobody means.
fn check_classes(arena: &Arena, classes: usize, bases: &[f64]) -> Result<(), String> {
    if classes == 2 && !bases.is_empty() {
        return Err("base_values beside weights of both of two classes: what they add to is not clear".into());
    }
    if classes == 2 && !arena.always_weighs(1) {
        return Err("no tree gives every row a weight for the second of two classes".into());
    }
    if !bases.is_empty() && bases.len() != classes {
        return Err(format!("{} base_values for {classes} classes", bases.len()));
    }
    Ok(())
}

/// An ensemble a column; `average_of` is how many trees an average divides by.
fn ensembles(trees: Vec<Vec<Tree>>, bases: &[f64], average_of: Option<usize>) -> Vec<Ensemble> {
    let scale = average_of.map_or(1.0, |count| 1.0 / count as f64);
    let base = |column: usize| bases.get(column).copied().unwrap_or(0.0);
    trees.iter().enumerate().map(|(column, trees)| Ensemble::of(trees, base(column), scale)).collect()
}

fn targets(node: &Node) -> Result<usize, String> {
    match node.int("n_targets", 1) {
        targets if (1..=MAX_COLUMNS as i64).contains(&targets) => Ok(targets as usize),
        targets => Err(format!("{targets} targets; 1 to {MAX_COLUMNS} are allowed")),
    }
}

fn bases(node: &Node) -> Result<Vec<f64>, String> {
    let bases = node.numbers("base_values");
    if bases.iter().all(|base| base.is_finite()) {
        Ok(bases)
    } else {
        Err("a number of base_values is not finite".into())
    }
}
