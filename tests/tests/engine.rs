//! The engine file: imports nothing, exports the ABI, and is what the trainer ships.

use wasmparser::{Parser, Payload};

#[test]
fn the_built_engine_imports_nothing() {
    let mut imports = Vec::new();
    for payload in Parser::new(0).parse_all(trainer::ENGINE) {
        if let Payload::ImportSection(section) = payload.unwrap() {
            imports.extend(section.into_imports().map(|i| format!("{:?}", i.unwrap())));
        }
    }
    assert!(imports.is_empty(), "the engine imports {imports:?}");
    edge_runtime::bundle::check_engine(trainer::ENGINE).unwrap();
}

#[test]
fn the_built_engine_says_nothing_about_where_it_was_built() {
    let engine = String::from_utf8_lossy(trainer::ENGINE);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    assert!(!engine.contains(root.to_str().unwrap()), "the engine holds the path of the workspace");
    assert!(!engine.contains(".cargo/registry"), "the engine holds the path of cargo's home");
}
