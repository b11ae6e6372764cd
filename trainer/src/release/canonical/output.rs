//! Finds the value that is the score, and brings it into the shape `f32[N, 1]`.

use super::graph::{Element, FLOAT, Graph, Kind, Node, Port};
use super::{CanonicalError, Column, SCORE, Wish};

/// `TensorProto.DataType`: other floats, which a Cast makes 32-bit ones.
const FLOAT16: i64 = 10;
const DOUBLE: i64 = 11;
const ML: &str = "ai.onnx.ml";

/// Gives the name of the value that is the score, after appending what shapes it.
pub(super) fn take(graph: &mut Graph, wish: &Wish, changes: &mut Vec<String>) -> Result<String, CanonicalError> {
    let port = choose(graph, wish.output.as_deref())?;
    for other in graph.outputs.iter().filter(|other| other.name != port.name) {
        changes.push(format!("dropped output `{}`", other.name));
    }
    let Some(zip_map) = graph.maker(&port.name).filter(|node| is_zip_map(node)) else {
        return shaped(graph, &port, wish, changes);
    };
    let labels = labels(zip_map);
    let value = zip_map.inputs.first().cloned().unwrap_or_default();
    changes.push(format!("took the numbers that output `{}` is a map of", port.name));
    column(graph, &port.name, value, labels, wish, changes)
}

/// A type as people write it.
pub(super) fn in_words(kind: &Kind) -> String {
    let Kind::Tensor { element, shape } = kind else {
        return if *kind == Kind::Unknown { "of no declared type" } else { "a sequence or map" }.to_owned();
    };
    let element = match *element {
        FLOAT => "f32".to_owned(),
        DOUBLE => "f64".to_owned(),
        FLOAT16 => "f16".to_owned(),
        6 => "i32".to_owned(),
        7 => "i64".to_owned(),
        8 => "strings".to_owned(),
        9 => "booleans".to_owned(),
        other => format!("element type {other}"),
    };
    let Some(shape) = shape else { return format!("{element} of no declared shape") };
    let sizes: Vec<String> = shape.iter().map(|size| size.map_or("n".to_owned(), |size| size.to_string())).collect();
    format!("{element}[{}]", sizes.join(", "))
}

/// The output that was named, or the only one that may be a score.
fn choose(graph: &Graph, named: Option<&str>) -> Result<Port, CanonicalError> {
    let listed = |ports: &[&Port]| {
        let each: Vec<String> = ports.iter().map(|p| format!("`{}` ({})", p.name, in_words(&p.kind))).collect();
        each.join(", ")
    };
    let all: Vec<&Port> = graph.outputs.iter().collect();
    let fails = |what: String| CanonicalError::Output { what, outputs: listed(&all) };
    let may_be_a_score = |port: &&Port| match port.kind {
        Kind::Tensor { element, .. } => [FLOAT, FLOAT16, DOUBLE].contains(&element),
        Kind::Other => graph.maker(&port.name).is_some_and(is_zip_map),
        Kind::Unknown => true,
    };
    if let Some(name) = named {
        let port =
            all.iter().find(|port| port.name == name).ok_or_else(|| fails(format!("there is no output `{name}`")))?;
        return if may_be_a_score(port) {
            Ok((*port).clone())
        } else {
            Err(fails(format!("output `{name}` is no score")))
        };
    }
    let scores: Vec<&Port> = all.iter().copied().filter(may_be_a_score).collect();
    match scores.as_slice() {
        [port] => Ok((*port).clone()),
        [] => Err(fails("no output is a score, a number a row".into())),
        several => Err(CanonicalError::Several { outputs: listed(several) }),
    }
}

fn is_zip_map(node: &Node) -> bool {
    node.is(ML, "ZipMap")
}

/// Whether a node makes a column whatever the file says; CatBoost declares a list.
fn gives_columns(node: &Node) -> bool {
    node.domain == ML && (node.operator.ends_with("Regressor") || node.operator == "TreeEnsemble")
}

/// How many labels a node has, where it has some.
fn labels(node: &Node) -> Option<i64> {
    let ints = ["classlabels_int64s", "classlabels_ints"].iter().filter_map(|name| node.attribute(name)?.ints(8).ok());
    let texts = node.attribute("classlabels_strings").map_or(0, |attribute| attribute.all(9).count());
    let labels = ints.map(|ints| ints.len()).sum::<usize>() + texts;
    (labels > 0).then_some(labels as i64)
}

/// A tensor with whatever sizes, made `f32[N, 1]`.
fn shaped(graph: &mut Graph, port: &Port, wish: &Wish, changes: &mut Vec<String>) -> Result<String, CanonicalError> {
    let name = &port.name;
    let (element, shape) = match &port.kind {
        Kind::Tensor { element, shape } => (*element, shape.clone()),
        _ => (FLOAT, None),
    };
    let mut value = name.clone();
    if element != FLOAT {
        changes.push(format!("made output `{name}` 32-bit floats"));
        value = graph.append("Cast", &[&value], Some(("to", FLOAT)));
    }
    match shape.as_deref() {
        Some([_]) if graph.maker(&value).is_some_and(gives_columns) => {
            changes.push(format!("declared output `{name}` as the column that it is"));
            column(graph, name, value, Some(1), wish, changes)
        }
        Some([_]) => {
            if wish.column != Column::Last {
                return Err(no_column(name, Some(1), &wish.column));
            }
            value = match squeezed(graph, &value) {
                Some(before) => {
                    changes.push(format!("took output `{name}` before its Squeeze"));
                    before
                }
                None => {
                    changes.push(format!("made output `{name}` a column"));
                    let sizes = [-1i64, 1].iter().flat_map(|size| size.to_le_bytes()).collect();
                    let sizes = graph.constant(Element::Int, &[2], sizes);
                    graph.append("Reshape", &[&value, &sizes], None)
                }
            };
            Ok(value)
        }
        Some([batch, Some(1)]) => {
            if name != SCORE {
                changes.push(format!("renamed output `{name}` to `{SCORE}`"));
            } else if batch.is_some() {
                changes.push(format!("let output `{name}` have any number of rows"));
            }
            column(graph, name, value, Some(1), wish, changes)
        }
        Some([_, columns]) => column(graph, name, value, *columns, wish, changes),
        None => column(graph, name, value, None, wish, changes),
        Some(_) => {
            let what = format!("output `{name}` is {}, expected one or two sizes", in_words(&port.kind));
            let outputs = format!("`{name}`");
            Err(CanonicalError::Output { what, outputs })
        }
    }
}

/// What a `Squeeze` of the second size made this value of.
fn squeezed(graph: &Graph, value: &str) -> Option<String> {
    let node = graph.maker(value).filter(|node| node.is("", "Squeeze"))?;
    let axes = match node.inputs.get(1) {
        Some(axes) => graph.ints(axes)?,
        None => node.attribute("axes")?.ints(8).ok()?,
    };
    // The value has one size, so there were two.
    [vec![1], vec![-1]].contains(&axes).then(|| node.inputs.first().cloned())?
}

/// One column of several.
fn column(
    graph: &mut Graph,
    output: &str,
    value: String,
    columns: Option<i64>,
    wish: &Wish,
    changes: &mut Vec<String>,
) -> Result<String, CanonicalError> {
    let of = columns.map_or(String::new(), |columns| format!(" of {columns}"));
    let classifier = graph.maker(&value).is_some_and(|node| node.domain == ML && node.operator.ends_with("Classifier"));
    let at = match (&wish.column, columns) {
        (Column::Last, Some(1)) => return Ok(value),
        (Column::Last, None) if !classifier => {
            changes.push(format!("took output `{output}` to be one number a row"));
            return Ok(value);
        }
        (Column::Last, columns) => columns.map_or(-1, |columns| columns - 1),
        (Column::Class(class), Some(columns)) if columns == 1 || i64::from(*class) >= columns => {
            return Err(no_column(output, Some(columns), &wish.column));
        }
        (Column::Class(class), _) => i64::from(*class),
        (Column::Weights(weights), Some(columns)) if columns == 1 || columns != weights.len() as i64 => {
            return Err(no_column(output, Some(columns), &wish.column));
        }
        (Column::Weights(weights), _) => {
            changes.push(format!("took the weighted sum of the columns of output `{output}`"));
            let data = weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
            let matrix = graph.constant(Element::Float, &[weights.len() as i64, 1], data);
            return Ok(graph.append("MatMul", &[&value, &matrix], None));
        }
    };
    let which = if at < 0 { "the last column".to_owned() } else { format!("column {at}{of}") };
    changes.push(format!("took {which} of output `{output}`"));
    let index = graph.constant(Element::Int, &[1], at.to_le_bytes().to_vec());
    Ok(graph.append("Gather", &[&value, &index], Some(("axis", 1))))
}

fn no_column(output: &str, columns: Option<i64>, wish: &Column) -> CanonicalError {
    let columns = match columns {
        Some(1) => "one column".to_owned(),
        Some(columns) => format!("columns 0 to {}", columns - 1),
        None => "columns that the file does not count".to_owned(),
    };
    let wish = match wish {
        Column::Weights(weights) => {
            format!("{} weights do not fit; leave --class-weights out or pass one for each column", weights.len())
        }
        Column::Class(class) => format!("--class {class} cannot be taken; leave it out or pass another"),
        Column::Last => "none can be taken".to_owned(),
    };
    CanonicalError::Column { output: output.to_owned(), columns, wish }
}
