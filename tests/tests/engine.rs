//! The engine files: each imports nothing, exports the ABI, and is what the trainer ships.

use wasmparser::{Parser, Payload};

const ENGINES: [(&str, &[u8]); 2] = [("compact", trainer::ENGINE), ("onnx", trainer::ENGINE_ONNX)];

#[test]
fn the_built_engines_import_nothing() {
    for (name, engine) in ENGINES {
        let mut imports = Vec::new();
        for payload in Parser::new(0).parse_all(engine) {
            if let Payload::ImportSection(section) = payload.unwrap() {
                imports.extend(section.into_imports().map(|i| format!("{:?}", i.unwrap())));
            }
        }
        assert!(imports.is_empty(), "the {name} engine imports {imports:?}");
        edge_runtime::bundle::check_engine(engine).unwrap();
    }
}

#[test]
fn the_built_engines_say_nothing_about_where_they_were_built() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (name, engine) in ENGINES {
        let engine = String::from_utf8_lossy(engine);
        assert!(!engine.contains(root.to_str().unwrap()), "the {name} engine holds the path of the workspace");
        assert!(!engine.contains(".cargo/registry"), "the {name} engine holds the path of cargo's home");
    }
}
