//! A loaded bundle as an image of its memory, from which instances start by copy-on-write.
//!
//! An engine file defines its memory and the data in it. Here it is taken apart: the code, which then imports its
//! memory and is compiled once, and the memory, a module without code whose data is whatever the memory should begin
//! with. The first instance begins with the engine's own data and loads the bundle; what its memory then holds is the
//! data of the image that every later instance begins with. wasmtime maps such data copy-on-write, so an instance that
//! is ready to rank costs two small instantiations and the pages it writes, and takes what it learns with it.
//!
//! Mutable globals are no part of the image. Compilers put the stack pointer there, which is back where it began when
//! a call returns; an engine whose globals differ after loading is refused.

use wasm_encoder::{
    ConstExpr, DataSection, EntityType, ExportKind, ExportSection, ImportSection, MemorySection, MemoryType, Module,
};
use wasmparser::{DataKind, ExternalKind, Operator, Parser, Payload};

use super::MAX_MEMORY;

/// The page size of WebAssembly's memories.
const PAGE: usize = 65_536;
/// How the code names the globals that must not change.
pub(super) const GLOBAL: &str = "hearth_global_";

/// An engine taken apart.
pub(super) struct Parts {
    /// The code; it imports its memory and exports its mutable globals.
    pub(super) code: Vec<u8>,
    /// What the memory begins with.
    pub(super) data: Vec<u8>,
    /// The memory's type.
    pub(super) memory: MemoryType,
    /// Mutable globals.
    pub(super) globals: u32,
}

/// Takes apart an engine that [`crate::bundle::check_engine`] has accepted.
///
/// # Errors
/// An engine that cannot be: with other than one memory of its own, or data at places that are not constants.
pub(super) fn take_apart(engine: &[u8]) -> Result<Parts, String> {
    let mut parts = Parts { code: Vec::new(), data: Vec::new(), memory: memory_type(0, None), globals: 0 };
    let mut memories = 0;
    let mut mutable = Vec::new();
    let mut module = Module::new();
    let malformed = |e: wasmparser::BinaryReaderError| e.message().to_owned();
    // Imports come after the types; an engine has none of its own.
    let mut imports = None;
    for payload in Parser::new(0).parse_all(engine) {
        let payload = payload.map_err(malformed)?;
        if let Payload::MemorySection(section) = &payload {
            for memory in section.clone() {
                let memory = memory.map_err(malformed)?;
                parts.memory = memory_type(memory.initial, memory.maximum);
                memories += 1;
            }
            let mut section = ImportSection::new();
            section.import("hearth", "memory", EntityType::Memory(parts.memory));
            imports = Some(section);
        }
        if let Payload::GlobalSection(section) = &payload {
            for (index, global) in (0u32..).zip(section.clone()) {
                if global.map_err(malformed)?.ty.mutable {
                    mutable.push(index);
                }
            }
        }
    }
    if memories != 1 {
        return Err(format!("it defines {memories} memories, expected one"));
    }
    if parts.memory.minimum > (MAX_MEMORY / PAGE) as u64 {
        return Err(format!(
            "it begins with {} pages of memory, at most {} are allowed",
            parts.memory.minimum,
            MAX_MEMORY / PAGE
        ));
    }
    parts.globals = mutable.len() as u32;
    let mut imports = imports.unwrap_or_default();
    for payload in Parser::new(0).parse_all(engine) {
        let payload = payload.map_err(malformed)?;
        match &payload {
            Payload::MemorySection(_) | Payload::DataCountSection { .. } => {}
            Payload::DataSection(section) => {
                for data in section.clone() {
                    let data = data.map_err(malformed)?;
                    let at = match data.kind {
                        DataKind::Active { memory_index: 0, offset_expr } => constant(&offset_expr)?,
                        _ => return Err("it has data that is not put into its memory at the start".into()),
                    };
                    let end = at + data.data.len();
                    if end > parts.memory.minimum as usize * PAGE {
                        return Err("it has data outside its memory".into());
                    }
                    if parts.data.len() < end {
                        parts.data.resize(end, 0);
                    }
                    parts.data[at..end].copy_from_slice(data.data);
                }
            }
            Payload::ExportSection(section) => {
                let mut exports = ExportSection::new();
                for export in section.clone() {
                    let export = export.map_err(malformed)?;
                    let kind = match export.kind {
                        ExternalKind::Func => ExportKind::Func,
                        ExternalKind::Memory => ExportKind::Memory,
                        ExternalKind::Global => ExportKind::Global,
                        ExternalKind::Table => ExportKind::Table,
                        _ => return Err(format!("it exports `{}`, which is no part of an engine", export.name)),
                    };
                    exports.export(export.name, kind, export.index);
                }
                for (k, index) in mutable.iter().enumerate() {
                    exports.export(&format!("{GLOBAL}{k}"), ExportKind::Global, *index);
                }
                module.section(&exports);
            }
            // Names and producers.
            Payload::CustomSection(_) => {}
            other => {
                if let Some((id, range)) = other.as_section() {
                    module.section(&wasm_encoder::RawSection { id, data: &engine[range] });
                    if matches!(other, Payload::TypeSection(_)) {
                        module.section(&std::mem::take(&mut imports));
                    }
                }
            }
        }
    }
    parts.code = module.finish();
    Ok(parts)
}

/// A module that exports a memory of `pages` pages that begins with `data`.
pub(super) fn memory(data: &[u8], pages: u64, of: &MemoryType) -> Vec<u8> {
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: pages, ..*of });
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    let mut section = DataSection::new();
    let end = data.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    section.active(0, &ConstExpr::i32_const(0), data[..end].iter().copied());
    let mut module = Module::new();
    module.section(&memories).section(&exports).section(&section);
    module.finish()
}

/// The type of a memory of at least `minimum` pages.
pub(super) fn memory_type(minimum: u64, maximum: Option<u64>) -> MemoryType {
    MemoryType { minimum, maximum, memory64: false, shared: false, page_size_log2: None }
}

fn constant(expression: &wasmparser::ConstExpr) -> Result<usize, String> {
    let mut operators = expression.get_operators_reader();
    match (operators.read(), operators.read()) {
        (Ok(Operator::I32Const { value }), Ok(Operator::End)) => Ok(value as u32 as usize),
        _ => Err("it has data at a place that is no constant".into()),
    }
}
