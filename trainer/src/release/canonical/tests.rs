//! Each shape of exported models, built by hand: what becomes of it, and each refusal.

use super::graph::Graph;
use super::wire::{Message, Value};
use super::*;
use crate::experiment::onnx_export::{self, TreeNode};

const WIDTH: u32 = 3;

fn text(number: u32, text: &str) -> Message {
    Message::default().with_text(number, text)
}

fn int(name: &str, i: i64) -> Message {
    text(1, name).with(3, Value::Varint(i as u64)).with(20, Value::Varint(2))
}

fn ints(name: &str, ints: &[i64]) -> Message {
    ints.iter().fold(text(1, name), |a, i| a.with(8, Value::Varint(*i as u64))).with(20, Value::Varint(7))
}

/// `operator inputs -> outputs`; a dot puts it into `ai.onnx.ml`.
fn node(line: &str, attributes: &[Message]) -> Message {
    let (left, outputs) = line.split_once(" -> ").unwrap();
    let (operator, inputs) = left.split_once(' ').unwrap_or((left, ""));
    let node = inputs.split_whitespace().fold(Message::default(), |node, input| node.with_text(1, input));
    let node = outputs.split_whitespace().fold(node, |node, output| node.with_text(2, output));
    let node = match operator.strip_prefix("ml.") {
        Some(operator) => node.with_text(4, operator).with_text(7, "ai.onnx.ml"),
        None => node.with_text(4, operator),
    };
    attributes.iter().fold(node, |node, attribute| node.with_message(5, attribute))
}

/// A size of -1 is symbolic.
fn port(name: &str, element: i64, sizes: &[i64]) -> Message {
    let size =
        |&size: &i64| if size < 0 { text(2, "batch") } else { Message::default().with(1, Value::Varint(size as u64)) };
    let shape = sizes.iter().map(size).fold(Message::default(), |shape, size| shape.with_message(1, &size));
    let tensor = Message::default().with(1, Value::Varint(element as u64)).with_message(2, &shape);
    text(1, name).with_message(2, &Message::default().with_message(1, &tensor))
}

fn sequence(name: &str) -> Message {
    text(1, name).with_message(2, &text(4, "what is in it does not matter"))
}

fn tensor(name: &str) -> Message {
    let data = 0f32.to_le_bytes().to_vec();
    Message::default()
        .with(1, Value::Varint(1))
        .with(2, Value::Varint(1))
        .with_text(8, name)
        .with(9, Value::Bytes(data))
}

fn model(nodes: &[Message], inputs: &[Message], outputs: &[Message]) -> Message {
    let mut graph = text(2, "a graph");
    for (number, messages) in [(1, nodes), (11, inputs), (12, outputs)] {
        graph = messages.iter().fold(graph, |graph, message| graph.with_message(number, message));
    }
    Message::default()
        .with(1, Value::Varint(8))
        .with_message(8, &text(1, "").with(2, Value::Varint(17)))
        .with_message(7, &graph)
}

/// The same model with one more field in its graph.
fn more(model: Message, number: u32, message: &Message) -> Message {
    let graph = model.message(7).unwrap().unwrap().with_message(number, message);
    model.without(7).with_message(7, &graph)
}

fn rewritten(model: &Message, wish: &Wish) -> (Graph, Canonical) {
    let canonical = rewrite(&model.to_bytes(), WIDTH, wish).unwrap();
    let graph = Graph::read(Message::read(&canonical.bytes).unwrap().message(7).unwrap().unwrap()).unwrap();
    assert_eq!(in_words(&graph.inputs), "`features` f32[n, 3]");
    assert_eq!(in_words(&graph.outputs), "`score` f32[n, 1]");
    assert_eq!(rewrite(&canonical.bytes, WIDTH, &Wish::default()).unwrap().changes, [""; 0], "canonical now");
    (graph, canonical)
}

fn in_words(ports: &[Port]) -> String {
    let each: Vec<String> = ports.iter().map(|p| format!("`{}` {}", p.name, output::in_words(&p.kind))).collect();
    each.join(", ")
}

/// The nodes as they are written for [`node`].
fn lines(graph: &Graph) -> Vec<String> {
    let line = |n: &graph::Node| {
        let domain = if n.domain == "ai.onnx.ml" { "ml." } else { "" };
        format!("{domain}{} {} -> {}", n.operator, n.inputs.join(" "), n.outputs.join(" "))
    };
    graph.nodes.iter().map(line).collect()
}

fn refused(model: &Message, wish: &Wish) -> String {
    rewrite(&model.to_bytes(), WIDTH, wish).unwrap_err().to_string()
}

/// A column of a column's number, as `--class` asks for it.
fn class(class: u32) -> Wish {
    Wish { column: Column::Class(class), ..Wish::default() }
}

fn named(output: &str) -> Wish {
    Wish { output: Some(output.into()), ..Wish::default() }
}

/// One input and one output that a node makes.
fn plain(output: &[i64]) -> Message {
    model(&[node("Abs x -> y", &[])], &[port("x", 1, &[-1, 3])], &[port("y", 1, output)])
}

#[test]
fn what_is_canonical_is_kept_byte_for_byte() {
    let tree = vec![TreeNode::branch(2, 0.5, true, (1, 2)), TreeNode::leaf(1.0), TreeNode::leaf(2.0)];
    for bytes in [onnx_export::trees(3, &[tree], 0.0), onnx_export::linear(&[1.0, 2.0, 3.0], 0.5)] {
        let canonical = rewrite(&bytes, WIDTH, &Wish::default()).unwrap();
        assert_eq!(canonical, Canonical { bytes, changes: vec![] });
    }
}

#[test]
fn ports_get_their_names_and_nothing_else_changes() {
    // An attribute that is 0 and not absent, an operator set of another domain, a function, a field of the future.
    let nodes = [node("Concat x x -> y", &[int("axis", 0)]), node("Mul y features -> z", &[])];
    let model = model(&nodes, &[port("x", 1, &[-1, 3])], &[port("z", 1, &[-1, 1])]);
    let model = more(model, 5, &tensor("features")).with_text(25, "a function").with_text(99, "from the future");
    let (graph, canonical) = rewritten(&model, &Wish::default());
    assert_eq!(lines(&graph), ["Concat features features -> y", "Mul y features_ -> score"]);
    assert_eq!(graph.nodes[0].attribute("axis").unwrap(), int("axis", 0));
    assert_eq!(canonical.changes, ["renamed input `x` to `features`", "renamed output `z` to `score`"]);
    let written = Message::read(&canonical.bytes).unwrap();
    assert_eq!((written.text(25), written.text(99)), ("a function".into(), "from the future".into()));
}

#[test]
fn a_value_is_renamed_within_graphs_of_attributes_too() {
    let inner = Message::default().with_message(1, &node("Neg x -> y", &[])).with_message(12, &text(1, "x"));
    let branch = text(1, "then_branch").with_message(6, &inner).with(20, Value::Varint(5));
    let nodes = [node("If c -> z", &[branch])];
    let (graph, _) = rewritten(&model(&nodes, &[port("x", 1, &[-1, 3])], &[port("z", 1, &[-1, 1])]), &Wish::default());
    let inner = graph.nodes[0].attribute("then_branch").unwrap().message(6).unwrap().unwrap();
    assert_eq!(inner.messages(1).unwrap()[0].text(1), "features");
    assert_eq!(inner.messages(12).unwrap()[0].text(1), "features");
}

/// A port whose second size is written as a number, whatever it is.
fn numbered(name: &str, size: i64) -> Message {
    let sizes = [text(2, "batch"), Message::default().with(1, Value::Varint(size as u64))];
    let shape = sizes.iter().fold(Message::default(), |shape, size| shape.with_message(1, size));
    let tensor = Message::default().with(1, Value::Varint(1)).with_message(2, &shape);
    text(1, name).with_message(2, &Message::default().with_message(1, &tensor))
}

#[test]
fn a_size_that_is_no_size_is_symbolic() {
    for size in [0, -1, i64::MIN] {
        let nodes = [node("ml.LinearClassifier x -> label probabilities", &[])];
        let outputs = [port("label", 8, &[-1]), numbered("probabilities", size)];
        let (graph, canonical) = rewritten(&model(&nodes, &[numbered("x", size)], &outputs), &Wish::default());
        assert_eq!(graph.ints("column"), Some(vec![-1]), "{size}: the last column");
        assert!(canonical.changes.contains(&"gave input `x` its width, 3".into()), "{:?}", canonical.changes);
        let error = refused(&model(&nodes, &[port("x", 1, &[-1, 3, 3])], &outputs), &Wish::default());
        assert!(error.contains("f32[n, 3, 3]"), "{error}");
    }
}

#[test]
fn names_within_graphs_of_attributes_are_renamed_wherever_they_stand() {
    // A body with an input and a constant of its own that have the names of the model's ports.
    let body = Message::default()
        .with_message(1, &node("Add x score -> y", &[]))
        .with_message(5, &tensor("score"))
        .with_message(11, &text(1, "x"))
        .with_message(12, &text(1, "y"));
    let attribute = text(1, "body").with_message(6, &body).with(20, Value::Varint(5));
    let nodes = [node("Loop trips x -> z", &[attribute])];
    let whole = model(&nodes, &[port("x", 1, &[-1, 3])], &[port("z", 1, &[-1, 1])]);
    let (graph, _) = rewritten(&more(whole, 5, &tensor("trips")), &Wish::default());
    let body = graph.nodes[0].attribute("body").unwrap().message(6).unwrap().unwrap();
    let add = &body.messages(1).unwrap()[0];
    let inputs: Vec<String> = add.texts(1).collect();
    // The output takes the name `score`, which the body's constant had.
    assert_eq!(lines(&graph), ["Loop trips features -> score"]);
    assert_eq!(inputs, ["features", "score_"]);
    assert_eq!(body.messages(11).unwrap()[0].text(1), inputs[0]);
    assert_eq!(body.messages(5).unwrap()[0].text(8), inputs[1]);
}

#[test]
fn a_long_chain_takes_no_longer_than_it_is() {
    let nodes: Vec<Message> = (0..50_000).map(|k| node(&format!("Abs v{k} -> v{}", k + 1), &[])).collect();
    let chain = model(&nodes, &[port("v0", 1, &[-1, 3])], &[port("v50000", 1, &[-1, 1])]);
    let started = std::time::Instant::now();
    let (graph, _) = rewritten(&more(chain, 1, &node("Abs v7 -> nobody", &[])), &Wish::default());
    assert_eq!(graph.nodes.len(), nodes.len());
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

#[test]
fn names_are_printed_short_and_without_what_a_terminal_obeys() {
    let long = format!("\u{1b}[2J{}", "n".repeat(100_000));
    let shown = format!("\\u{{1b}}[2J{}…", "n".repeat(76));
    let x = port(&long, 1, &[-1, 3]);
    let nodes = [node(&format!("Abs {long} -> y"), &[])];
    let (_, canonical) = rewritten(&model(&nodes, &[x], &[port("y", 1, &[-1, 1])]), &Wish::default());
    assert_eq!(canonical.changes[0], format!("renamed input `{shown}` to `features`"));
    let plain = || port("x", 1, &[-1, 3]);
    let external = tensor(&long).with(14, Value::Varint(1));
    for error in [
        refused(&model(&[], &[port(&long, 11, &[-1, 3])], &[port("y", 1, &[-1, 1])]), &Wish::default()),
        refused(&model(&[], &[port(&long, 1, &[-1, 4])], &[port("y", 1, &[-1, 1])]), &Wish::default()),
        refused(&model(&[], &[plain(), port(&long, 1, &[-1, 3])], &[port("y", 1, &[-1, 1])]), &Wish::default()),
        refused(&model(&[], &[plain()], &[port(&long, 1, &[-1, 1]), port("y", 1, &[-1, 1])]), &Wish::default()),
        refused(&model(&[], &[plain()], &[port(&long, 7, &[-1, 1])]), &Wish::default()),
        refused(&model(&[], &[plain()], &[port(&long, 1, &[-1, 1])]), &class(7)),
        refused(&more(model(&[], &[plain()], &[port("y", 1, &[-1, 1])]), 5, &external), &Wish::default()),
    ] {
        assert!(error.contains(&format!("`{shown}`")) && error.len() < 600, "{error}");
    }
}

#[test]
fn a_batch_of_one_size_and_a_width_that_is_not_told_are_set() {
    for (input, output, says) in [
        (port("features", 1, &[1, 3]), port("score", 1, &[1, 1]), "any number of rows"),
        (port("features", 1, &[-1, -1]), port("score", 1, &[-1, 1]), "its width, 3"),
        (port("features", 1, &[-1, 3]), port("score", 1, &[1, 1]), "output `score` have any number"),
        (port("features", 1, &[-1, 3]), text(1, "score"), "one number a row"),
    ] {
        let (_, canonical) =
            rewritten(&model(&[node("Abs features -> score", &[])], &[input], &[output]), &Wish::default());
        assert!(canonical.changes[0].contains(says), "{:?}", canonical.changes);
    }
}

#[test]
fn a_classifier_gives_a_column_and_its_label_and_map_are_dropped() {
    let nodes = [
        node("ml.TreeEnsembleClassifier x -> label_ probabilities_", &[]),
        node("Cast label_ -> label", &[int("to", 7)]),
        node("ml.ZipMap probabilities_ -> probabilities", &[ints("classlabels_int64s", &[0, 1])]),
    ];
    let (input, label) = (port("x", 1, &[-1, 3]), port("label", 7, &[-1]));
    let model = model(&nodes, std::slice::from_ref(&input), &[label, sequence("probabilities")]);
    for (wish, index) in [(Wish::default(), 1), (class(1), 1), (class(0), 0), (named("probabilities"), 1)] {
        let (graph, canonical) = rewritten(&model, &wish);
        assert_eq!(
            lines(&graph),
            ["ml.TreeEnsembleClassifier features -> label_ probabilities_", "Gather probabilities_ column -> score"]
        );
        assert_eq!(graph.ints("column"), Some(vec![index]));
        assert_eq!(graph.nodes[1].attribute("axis").unwrap(), int("axis", 1));
        assert!(canonical.changes.contains(&"dropped output `label`".into()), "{:?}", canonical.changes);
        assert!(canonical.changes.contains(&format!("took column {index} of 2 of output `probabilities`")));
    }
    assert!(refused(&model, &class(2)).contains("columns 0 to 1, so --class 2"));
    assert!(refused(&model, &named("label")).contains("output `label` is no score"));
    assert!(
        refused(&model, &named("lable"))
            .contains("there is no output `lable`; the model's outputs are `label` (i64[n])")
    );
}

#[test]
fn a_classifier_whose_columns_are_not_counted_gives_the_last() {
    let nodes = [node("ml.LinearClassifier x -> label probabilities", &[])];
    let outputs = [port("label", 8, &[-1]), port("probabilities", 1, &[-1, -1])];
    let (graph, _) = rewritten(&model(&nodes, &[port("x", 1, &[-1, 3])], &outputs), &Wish::default());
    assert_eq!(graph.ints("column"), Some(vec![-1]));
}

#[test]
fn several_columns_are_weighed() {
    let weighed = |weights: &[f32]| Wish { column: Column::Weights(weights.to_vec()), ..Wish::default() };
    let (graph, _) = rewritten(&plain(&[-1, 3]), &weighed(&[0.0, 1.0, 2.0]));
    assert_eq!(lines(&graph), ["Abs features -> y", "MatMul y column -> score"]);
    assert!(refused(&plain(&[-1, 3]), &weighed(&[1.0])).contains("columns 0 to 2, so 1 weights do not fit"));
    assert!(refused(&plain(&[-1, 1]), &weighed(&[1.0])).contains("one column"));
}

#[test]
fn a_list_becomes_a_column() {
    let (graph, _) = rewritten(&plain(&[-1]), &Wish::default());
    assert_eq!(lines(&graph), ["Abs features -> y", "Reshape y column -> score"]);
    assert_eq!(graph.ints("column"), Some(vec![-1, 1]));
    // What a trailing Squeeze made a list of was a column.
    let squeeze = |node: Message| model(&[node], &[port("features", 1, &[-1, 3])], &[port("y", 1, &[-1])]);
    let by_attribute = squeeze(node("Squeeze z -> y", &[ints("axes", &[1])]));
    let axes = Message::default().with(1, Value::Varint(1)).with(2, Value::Varint(7)).with_text(8, "axes");
    let by_constant =
        more(squeeze(node("Squeeze z axes -> y", &[])), 5, &axes.with(9, Value::Bytes((-1i64).to_le_bytes().to_vec())));
    for model in [by_attribute, by_constant] {
        let model = more(model, 1, &node("Abs features -> z", &[]));
        assert_eq!(lines(&rewritten(&model, &Wish::default()).0), ["Abs features -> score"]);
    }
    // CatBoost declares a list and makes a column.
    let trees = [node("ml.TreeEnsembleRegressor features -> predictions", &[])];
    let model = model(&trees, &[port("features", 1, &[-1, 3])], &[port("predictions", 1, &[-1])]);
    assert_eq!(lines(&rewritten(&model, &Wish::default()).0), ["ml.TreeEnsembleRegressor features -> score"]);
}

#[test]
fn doubles_become_floats() {
    let model = model(&[node("Abs x -> y", &[])], &[port("x", 1, &[-1, 3])], &[port("y", 11, &[-1, 1])]);
    let (graph, _) = rewritten(&model, &Wish::default());
    assert_eq!(lines(&graph), ["Abs features -> y", "Cast y -> score"]);
}

#[test]
fn what_leaves_the_score_open_is_refused() {
    let x = port("x", 1, &[-1, 3]);
    let two = model(&[], std::slice::from_ref(&x), &[port("a", 1, &[-1, 1]), port("b", 1, &[-1, 8])]);
    assert!(refused(&two, &Wish::default()).contains("`a` (f32[n, 1]), `b` (f32[n, 8]); name one with --output"));
    let none = model(&[], std::slice::from_ref(&x), &[port("label", 7, &[-1])]);
    assert!(refused(&none, &Wish::default()).contains("no output is a score"));
    assert!(refused(&plain(&[-1, 2, 4]), &Wish::default()).contains("output `y` is f32[n, 2, 4]"));
    assert!(refused(&plain(&[-1, 1]), &class(0)).contains("one column"));
    assert!(refused(&plain(&[-1]), &class(1)).contains("one column"));
}

#[test]
fn an_input_that_takes_no_vectors_is_refused() {
    let with = |inputs: &[Message]| refused(&model(&[], inputs, &[port("y", 1, &[-1, 1])]), &Wish::default());
    assert!(
        with(&[port("x", 1, &[-1, 4])]).contains("input `x` takes 4 numbers a row, but the encoder's vectors have 3")
    );
    assert!(with(&[port("x", 11, &[-1, 3])]).contains("input `x` is f64[n, 3]"));
    assert!(with(&[port("x", 1, &[-1, 3, 3])]).contains("input `x` is f32[n, 3, 3]"));
    assert!(
        with(&[port("a", 1, &[-1, 1]), port("b", 1, &[-1, 1])]).contains("2 inputs: `a`, `b`; expected one, f32[n, 3]")
    );
    assert!(with(&[]).contains("0 inputs; expected one"));
    // Old exporters list constants among the inputs.
    let old = more(
        model(&[node("Add x w -> y", &[])], &[port("x", 1, &[-1, 3]), port("w", 1, &[1])], &[port("y", 1, &[-1, 1])]),
        5,
        &tensor("w"),
    );
    rewritten(&old, &Wish::default());
}

#[test]
fn numbers_in_another_file_are_refused_wherever_they_stand() {
    let external =
        tensor("w").with(14, Value::Varint(1)).with_message(13, &text(1, "location").with_text(2, "weights.bin"));
    assert!(refused(&more(plain(&[-1, 1]), 5, &external), &Wish::default()).contains("tensor `w` are in another file"));
    let value = text(1, "value").with_message(5, &external);
    let constant = node("Constant -> w", std::slice::from_ref(&value));
    assert!(refused(&more(plain(&[-1, 1]), 1, &constant), &Wish::default()).contains("tensor `value`"));
    let inner = text(1, "body").with_message(6, &Message::default().with_message(5, &external));
    assert!(refused(&more(plain(&[-1, 1]), 1, &node("Loop -> v", &[inner])), &Wish::default()).contains("tensor `w`"));
    // The location is the default one, which some exporters write.
    let within = more(plain(&[-1, 1]), 5, &tensor("w").with(14, Value::Varint(0)));
    rewrite(&within.to_bytes(), WIDTH, &Wish::default()).unwrap();
    assert!(
        refused(&more(plain(&[-1, 1]), 5, &tensor("w").with(14, Value::Varint(2))), &Wish::default()).contains("`w`")
    );
}

#[test]
fn an_operator_set_of_the_future_is_refused() {
    for (domain, says) in [("", "`ai.onnx` is newer than 24"), ("ai.onnx.ml", "`ai.onnx.ml` is newer than 5")] {
        let set = text(1, domain).with(2, Value::Varint(99));
        let error = refused(&plain(&[-1, 1]).with_message(8, &set), &Wish::default());
        assert!(error.contains("operator set 99 of domain") && error.contains(says), "{error}");
    }
}

#[test]
fn bytes_that_are_no_model_are_refused() {
    for bytes in [&b""[..], b"PK\x03\x04", b"{\"tree\": 1}", &[0xff; 40]] {
        let error = rewrite(bytes, WIDTH, &Wish::default()).unwrap_err().to_string();
        assert!(error.contains("not an ONNX file"), "{error}");
    }
    // Cut off anywhere, it is refused or, where what is left is whole, taken; it never panics.
    let whole = plain(&[-1, 2]).to_bytes();
    for end in 0..whole.len() {
        let _ = rewrite(&whole[..end], WIDTH, &Wish::default());
    }
    // Graphs within graphs without end.
    let mut deep = node("If c -> y", &[]);
    for _ in 0..100 {
        let graph = Message::default().with_message(1, &deep);
        deep = node("If c -> y", &[text(1, "then_branch").with_message(6, &graph)]);
    }
    assert!(refused(&more(plain(&[-1, 1]), 1, &deep), &Wish::default()).contains("not an ONNX file"));
}
