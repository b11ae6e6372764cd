//! What an engine file must be: no imports, no start function, and the exports of the ABI.

use wasmparser::{CompositeInnerType, ExternalKind, FuncType, Parser, Payload, ValType, Validator, WasmFeatures};

/// The functions an engine exports, with their parameters and results.
const FUNCTIONS: [(&str, &[ValType], &[ValType]); 5] = [
    ("hearth_abi", &[], &[ValType::I32]),
    ("hearth_alloc", &[ValType::I32], &[ValType::I32]),
    ("hearth_free", &[ValType::I32, ValType::I32], &[]),
    ("hearth_load", &[ValType::I32, ValType::I32], &[ValType::I32]),
    ("hearth_call", &[ValType::I32, ValType::I32, ValType::I32], &[ValType::I64]),
];

/// Why an engine file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Not valid WebAssembly.
    #[error("not valid WebAssembly: {reason}")]
    Invalid {
        /// Why.
        reason: String,
    },
    /// It asks for something from its host.
    #[error("it imports `{module}.{name}`; engines import nothing")]
    Import {
        /// The module.
        module: String,
        /// The name.
        name: String,
    },
    /// It has a start function.
    #[error("it has a start function; engines run only when called")]
    Start,
    /// An export of the ABI that is missing or of another type.
    #[error("export `{name}` is missing or not {expected}")]
    Export {
        /// Which.
        name: &'static str,
        /// What it must be.
        expected: &'static str,
    },
}

/// Checks an engine file without running it.
///
/// # Errors
/// The first rule that is broken.
pub fn check_engine(bytes: &[u8]) -> Result<(), EngineError> {
    let invalid = |e: wasmparser::BinaryReaderError| EngineError::Invalid { reason: e.message().to_owned() };
    let mut features = WasmFeatures::default();
    features.remove(WasmFeatures::THREADS | WasmFeatures::MEMORY64 | WasmFeatures::RELAXED_SIMD);
    Validator::new_with_features(features).validate_all(bytes).map_err(invalid)?;
    let mut types: Vec<Option<FuncType>> = Vec::new();
    let mut functions: Vec<u32> = Vec::new();
    let mut exported: Vec<(String, ExternalKind, u32)> = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(invalid)? {
            Payload::ImportSection(imports) => {
                if let Some(import) = imports.into_imports().next() {
                    let import = import.map_err(invalid)?;
                    return Err(EngineError::Import { module: import.module.into(), name: import.name.into() });
                }
            }
            Payload::TypeSection(groups) => {
                for group in groups {
                    for sub_type in group.map_err(invalid)?.types() {
                        types.push(match &sub_type.composite_type.inner {
                            CompositeInnerType::Func(function) => Some(function.clone()),
                            _ => None,
                        });
                    }
                }
            }
            Payload::FunctionSection(indices) => {
                for index in indices {
                    functions.push(index.map_err(invalid)?);
                }
            }
            Payload::StartSection { .. } => return Err(EngineError::Start),
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export.map_err(invalid)?;
                    exported.push((export.name.to_owned(), export.kind, export.index));
                }
            }
            _ => {}
        }
    }
    let find = |name: &str| exported.iter().find(|(n, ..)| n == name);
    if !matches!(find("memory"), Some((_, ExternalKind::Memory, _))) {
        return Err(EngineError::Export { name: "memory", expected: "a memory" });
    }
    for (name, parameters, results) in FUNCTIONS {
        let function = match find(name) {
            Some((_, ExternalKind::Func, index)) => {
                functions.get(*index as usize).and_then(|t| types.get(*t as usize)?.as_ref())
            }
            _ => None,
        };
        if !function.is_some_and(|f| f.params() == parameters && f.results() == results) {
            return Err(EngineError::Export { name, expected: "a function of the ABI's type" });
        }
    }
    Ok(())
}
