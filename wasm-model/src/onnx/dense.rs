//! Graphs of heads and dense layers: each step reads values that the steps before made, and makes one.
//!
//! Every dot product is summed in `f64` in index order and rounded once to `f32`; activations likewise.

use super::head::Head;
use super::{ModelDescription, number, transform};

mod read;

/// Rows that go through the heads together.
const GROUP: usize = 64;

/// A checked graph.
#[derive(Debug)]
pub(super) struct Chain {
    steps: Vec<Step>,
    /// Numbers of all values of a row.
    cells: usize,
    output: Slot,
    /// Whether a step other than a head reads the features.
    reads_features: bool,
}

/// Where a value's numbers stand among a row's cells; the features stand first.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Slot {
    at: usize,
    width: usize,
}

#[derive(Debug)]
struct Step {
    run: Run,
    output: Slot,
}

#[derive(Debug)]
enum Run {
    /// Of the features.
    Head(Head),
    /// `weights` are `f32[outputs, inputs]`.
    Affine {
        input: Slot,
        weights: Vec<f32>,
        bias: Vec<f32>,
    },
    Binary(Binary, Operand, Operand),
    Activation(Activation, Slot),
    Softmax(Slot),
    /// Each number's share of the sum of all, as absolute numbers; all stay 0 where that is 0.
    Normalize(Slot),
    Concat(Vec<Slot>),
    /// The numbers at these places.
    Gather(Slot, Vec<usize>),
}

/// One side of an operator: as wide as the output, or a single number for all.
#[derive(Debug)]
enum Operand {
    Value(Slot),
    Constant(Vec<f32>),
}

#[derive(Clone, Copy, Debug)]
enum Binary {
    Add,
    Sub,
    Mul,
    Div,
}

#[derive(Clone, Copy, Debug)]
enum Activation {
    Relu,
    Sigmoid,
    Tanh,
}

impl Chain {
    pub(super) fn score(&self, x: &[f32], width: usize, out: &mut Vec<f32>) {
        let mut cells = vec![0.0; self.cells];
        let mut heads: Vec<Vec<f32>> = vec![Vec::new(); self.heads().count()];
        for group in x.chunks(width * GROUP) {
            for (head, out) in self.heads().zip(&mut heads) {
                head.run(group, width, out);
            }
            for (row, x) in group.chunks_exact(width).enumerate() {
                cells[..width].copy_from_slice(x);
                let mut heads = heads.iter();
                for step in &self.steps {
                    let (before, output) = cells.split_at_mut(step.output.at);
                    let output = &mut output[..step.output.width];
                    match &step.run {
                        Run::Head(_) => {
                            let scores = heads.next().map_or(&[][..], Vec::as_slice);
                            output.copy_from_slice(&scores[row * output.len()..][..output.len()]);
                        }
                        run => run.apply(before, output),
                    }
                }
                out.push(number(f64::from(cells[self.output.at])));
            }
        }
    }

    pub(super) fn handles_missing(&self) -> bool {
        !self.reads_features && self.heads().all(Head::handles_missing)
    }

    /// Described by its trees if it has some, else as dense.
    pub(super) fn describe(&self) -> ModelDescription {
        let trees = self.heads().map(Head::describe).find(|head| head.kind == "trees");
        if let Some(trees) = trees {
            return trees;
        }
        let (mut parameters, mut depth) = (0, 0);
        for step in &self.steps {
            parameters += match &step.run {
                Run::Head(head) => head.describe().parameters as usize,
                run => run.weights(),
            };
            depth += u32::from(matches!(step.run, Run::Affine { .. } | Run::Head(_)));
        }
        ModelDescription { kind: "dense", trees: 0, parameters: parameters as u32, depth }
    }

    fn heads(&self) -> impl Iterator<Item = &Head> {
        self.steps.iter().filter_map(|step| match &step.run {
            Run::Head(head) => Some(head),
            _ => None,
        })
    }
}

impl Run {
    /// The numbers that it holds; a head's are not counted.
    fn weights(&self) -> usize {
        match self {
            Run::Affine { weights, bias, .. } => weights.len() + bias.len(),
            Run::Binary(_, a, b) => a.constants() + b.constants(),
            _ => 0,
        }
    }

    /// Computes a row's output from the cells before it; heads are run a group at a time instead.
    fn apply(&self, cells: &[f32], output: &mut [f32]) {
        match self {
            Run::Head(_) => {}
            Run::Affine { input, weights, bias } => {
                let input = input.of(cells);
                for ((out, row), bias) in output.iter_mut().zip(weights.chunks_exact(input.len())).zip(bias) {
                    let mut sum = 0.0;
                    for (x, w) in input.iter().zip(row) {
                        sum += f64::from(*x) * f64::from(*w);
                    }
                    *out = (sum + f64::from(*bias)) as f32;
                }
            }
            Run::Binary(binary, a, b) => {
                let (a, b) = (a.of(cells), b.of(cells));
                for (i, out) in output.iter_mut().enumerate() {
                    *out = binary.apply(at(a, i), at(b, i));
                }
            }
            Run::Activation(activation, input) => {
                output.iter_mut().zip(input.of(cells)).for_each(|(out, x)| *out = activation.apply(*x));
            }
            Run::Softmax(input) => {
                let mut scores: Vec<f64> = input.of(cells).iter().map(|&x| f64::from(x)).collect();
                transform::softmax(&mut scores);
                output.iter_mut().zip(scores).for_each(|(out, x)| *out = x as f32);
            }
            Run::Normalize(input) => {
                let sum = input.of(cells).iter().fold(0.0, |sum, x| sum + f64::from(x.abs()));
                let sum = if sum == 0.0 { 1.0 } else { sum };
                output.iter_mut().zip(input.of(cells)).for_each(|(out, x)| *out = (f64::from(*x) / sum) as f32);
            }
            Run::Concat(inputs) => {
                output.iter_mut().zip(inputs.iter().flat_map(|i| i.of(cells))).for_each(|(out, x)| *out = *x);
            }
            Run::Gather(input, places) => {
                let input = input.of(cells);
                output.iter_mut().zip(places).for_each(|(out, place)| *out = input[*place]);
            }
        }
    }
}

impl Slot {
    fn of(self, cells: &[f32]) -> &[f32] {
        &cells[self.at..][..self.width]
    }
}

impl Operand {
    fn of<'a>(&'a self, cells: &'a [f32]) -> &'a [f32] {
        match self {
            Operand::Value(slot) => slot.of(cells),
            Operand::Constant(numbers) => numbers,
        }
    }

    fn constants(&self) -> usize {
        match self {
            Operand::Value(_) => 0,
            Operand::Constant(numbers) => numbers.len(),
        }
    }
}

/// A side's number for place `i`.
fn at(side: &[f32], i: usize) -> f32 {
    if let [single] = side { *single } else { side[i] }
}

impl Binary {
    fn apply(self, a: f32, b: f32) -> f32 {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
        }
    }
}

impl Activation {
    fn apply(self, x: f32) -> f32 {
        match self {
            // A NaN goes through, as the operator's definition says.
            Activation::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Activation::Sigmoid => transform::logistic(f64::from(x)) as f32,
            Activation::Tanh => libm::tanh(f64::from(x)) as f32,
        }
    }
}
