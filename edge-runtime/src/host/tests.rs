//! Guests that misbehave, each built for its test.

use shared_features::codec;
use shared_features::floats::Floats;
use shared_features::wire::{Load, Reply};
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ExportKind, ExportSection, Function, FunctionSection, ImportSection,
    Instruction, MemorySection, MemoryType, Module, TypeSection, ValType,
};

use super::*;

/// What `hearth_call` does in a test's guest.
pub(crate) type Body<'a> = &'a [Instruction<'a>];

/// Where every guest's data lies, and where it says its buffers are.
pub(crate) const REPLY: i32 = 1024;
const BUFFER: i32 = 65_536;

/// A guest that loads anything and answers with `call`; `reply` lies at [`REPLY`].
pub(crate) fn guest(abi: i32, reply: &[u8], call: Body, import: bool) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], [ValType::I32]);
    types.ty().function([ValType::I32], [ValType::I32]);
    types.ty().function([ValType::I32, ValType::I32], []);
    types.ty().function([ValType::I32, ValType::I32], [ValType::I32]);
    types.ty().function([ValType::I32, ValType::I32, ValType::I32], [ValType::I64]);
    let mut imports = ImportSection::new();
    if import {
        imports.import("wasi_snapshot_preview1", "random_get", wasm_encoder::EntityType::Function(3));
    }
    let mut functions = FunctionSection::new();
    for kind in 0..5 {
        functions.function(kind);
    }
    let mut memories = MemorySection::new();
    memories.memory(MemoryType { minimum: 32, maximum: None, memory64: false, shared: false, page_size_log2: None });
    let mut exports = ExportSection::new();
    exports.export("memory", ExportKind::Memory, 0);
    for (k, name) in ["hearth_abi", "hearth_alloc", "hearth_free", "hearth_load", "hearth_call"].into_iter().enumerate()
    {
        exports.export(name, ExportKind::Func, k as u32 + u32::from(import));
    }
    let mut code = CodeSection::new();
    let bodies: [Body; 5] =
        [&[Instruction::I32Const(abi)], &[Instruction::I32Const(BUFFER)], &[], &[Instruction::I32Const(0)], call];
    for body in bodies {
        let mut function = Function::new([]);
        for instruction in body.iter().chain([&Instruction::End]) {
            function.instruction(instruction);
        }
        code.function(&function);
    }
    let mut data = DataSection::new();
    data.active(0, &ConstExpr::i32_const(REPLY), reply.iter().copied());
    let mut module = Module::new();
    module.section(&types);
    if import {
        module.section(&imports);
    }
    module.section(&functions).section(&memories).section(&exports).section(&code).section(&data);
    module.finish()
}

/// The packed place of a reply.
pub(crate) fn at(ptr: i64, len: usize) -> Instruction<'static> {
    Instruction::I64Const(ptr << 32 | len as i64)
}

fn limits() -> Limits {
    Limits {
        memory_bytes: 4 << 20,
        call: Duration::from_millis(50),
        load: Duration::from_secs(5),
        keep: true,
        at_once: false,
    }
}

fn start(wasm: &[u8]) -> Result<Guest, HostError> {
    let load = Load { encoder: Vec::new(), policy: Vec::new(), tables: Vec::new(), model: Vec::new() };
    Guest::new(Host::shared().unwrap(), wasm, &load, limits())
}

/// What a guest with this body answers, twice: it is dropped and replaced in between.
#[track_caller]
fn answers(call: Body) -> HostError {
    let guest = start(&guest(1, &[], call, false)).unwrap();
    let first = guest.describe().unwrap_err();
    assert!(lock(&guest.idle).is_empty(), "an instance that failed is not used again");
    assert_eq!(guest.describe().unwrap_err(), first);
    first
}

#[test]
fn a_guest_that_behaves_is_heard_and_used_again() {
    let reply = codec::encode(&Reply::Ok(Floats(vec![1.5, 2.5])));
    let guest = start(&guest(1, &reply, &[at(REPLY.into(), reply.len())], false)).unwrap();
    assert_eq!(guest.score(&[0.0]), Ok(vec![1.5, 2.5]));
    assert_eq!(guest.score(&[0.0]), Ok(vec![1.5, 2.5]));
    assert_eq!(lock(&guest.idle).len(), 1);
}

#[test]
fn a_guest_that_starts_at_once_goes_on_with_better_code() {
    let reply = codec::encode(&Reply::Ok(Floats(vec![1.5, f32::from_bits(0x7fc0_0001)])));
    // Bytes that no other test has compiled in this process.
    let wasm =
        guest(1, &reply, &[Instruction::Nop, Instruction::Nop, Instruction::Nop, at(REPLY.into(), reply.len())], false);
    let load = Load { encoder: Vec::new(), policy: Vec::new(), tables: Vec::new(), model: Vec::new() };
    let limits = Limits { keep: false, at_once: true, ..limits() };
    let host = Host::shared().unwrap();
    let bits = |guest: &Guest| guest.score(&[0.0]).unwrap().into_iter().map(f32::to_bits).collect::<Vec<_>>();
    #[cfg(target_arch = "x86_64")]
    assert!(host.quick.is_some(), "wasmtime has its fast compiler here");
    // Nobody else may compile until the guest has answered.
    let compiling = lock(&host.compiling);
    let guest = Guest::new(host, &wasm, &load, limits).unwrap();
    assert_eq!(guest.is_provisional(), host.quick.is_some());
    assert_eq!(bits(&guest), [1.5f32.to_bits(), 0x7fc0_0001]);
    drop(compiling);
    while guest.is_provisional() {
        std::thread::yield_now();
    }
    assert_eq!(bits(&guest), [1.5f32.to_bits(), 0x7fc0_0001]);
    // The second time there is better code already.
    assert!(!Guest::new(host, &wasm, &load, limits).unwrap().is_provisional());
}

/// Counts its calls in its memory and answers with the count.
fn remembering() -> Vec<u8> {
    let reply = codec::encode(&Reply::Ok(Floats(vec![0.0])));
    let address = |at: i32| Instruction::I32Const(at);
    let byte = |offset: u64| wasm_encoder::MemArg { offset, align: 0, memory_index: 0 };
    let (count, last) = (2000, REPLY + reply.len() as i32 - 1);
    let body = [
        address(count),
        address(count),
        Instruction::I32Load8U(byte(0)),
        Instruction::I32Const(1),
        Instruction::I32Add,
        Instruction::I32Store8(byte(0)),
        address(last),
        address(count),
        Instruction::I32Load8U(byte(0)),
        Instruction::I32Store8(byte(0)),
        at(REPLY.into(), reply.len()),
    ];
    guest(1, &reply, &body, false)
}

#[test]
fn a_guest_that_remembers_the_last_user_finds_nothing() {
    let count = |k: u8| Ok(vec![f32::from_le_bytes([0, 0, 0, k])]);
    let load = Load { encoder: Vec::new(), policy: Vec::new(), tables: Vec::new(), model: Vec::new() };
    let fresh = Limits { keep: false, ..limits() };
    let guest = Guest::new(Host::shared().unwrap(), &remembering(), &load, fresh).unwrap();
    for _ in 0..3 {
        assert_eq!(guest.score(&[0.0]), count(1));
    }
    // It does remember where instances are kept.
    let kept = start(&remembering()).unwrap();
    assert_eq!([kept.score(&[0.0]), kept.score(&[0.0])], [count(1), count(2)]);
}

#[test]
fn an_engine_whose_globals_change_while_it_loads() {
    let module = |increment: i32| {
        let text = format!(
            r#"(module (memory (export "memory") 2) (global $g (mut i32) (i32.const 7))
            (func (export "hearth_abi") (result i32) (i32.const 1))
            (func (export "hearth_alloc") (param i32) (result i32) (i32.const 65536))
            (func (export "hearth_free") (param i32 i32))
            (func (export "hearth_load") (param i32 i32) (result i32)
              (global.set $g (i32.add (global.get $g) (i32.const {increment}))) (i32.const 0))
            (func (export "hearth_call") (param i32 i32 i32) (result i64) (i64.const 0)))"#
        );
        wat::parse_str(text).unwrap()
    };
    assert!(start(&module(0)).is_ok());
    let error = start(&module(1)).unwrap_err();
    assert!(error.to_string().contains("its globals are not what they were"), "{error}");
}

/// A module with this memory and data that is an engine in all else.
fn with_memory(memory: &str) -> Vec<u8> {
    let rest = r#"(func (export "hearth_abi") (result i32) (i32.const 1))
        (func (export "hearth_alloc") (param i32) (result i32) (i32.const 65536))
        (func (export "hearth_free") (param i32 i32))
        (func (export "hearth_load") (param i32 i32) (result i32) (i32.const 0))
        (func (export "hearth_call") (param i32 i32 i32) (result i64) (i64.const 0))"#;
    wat::parse_str(format!("(module {memory} {rest})")).unwrap()
}

#[test]
fn an_engine_whose_memory_is_not_as_it_may_be() {
    let cases = [
        (r#"(memory (export "memory") 65536) (data (i32.const -65536) "x")"#, "65536 pages of memory, at most 16384"),
        (
            r#"(memory (export "memory") 2) (data (i32.add (i32.const 8) (i32.const 8)) "x")"#,
            "at a place that is no constant",
        ),
    ];
    for (memory, expected) in cases {
        let error = start(&with_memory(memory)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn a_deadline_that_never_comes() {
    let engine = guest(1, &[], &[Instruction::Unreachable], false);
    let load = Load { encoder: Vec::new(), policy: Vec::new(), tables: Vec::new(), model: Vec::new() };
    for call in [Duration::from_millis(u64::MAX), Duration::MAX] {
        let guest = Guest::new(Host::shared().unwrap(), &engine, &load, Limits { call, ..limits() }).unwrap();
        assert!(matches!(guest.describe(), Err(HostError::Trap { .. })));
        let nothing = Call { histories: Vec::new(), requests: Vec::new(), salt: String::new() };
        assert!(matches!(guest.explain(&nothing), Err(HostError::Trap { .. })));
    }
}

#[test]
fn a_refusal_is_printed_without_what_a_terminal_obeys() {
    let reply = codec::encode(&Reply::<Floats>::Err(format!("`{}` \u{1b}[2J", "n".repeat(500))));
    let guest = start(&guest(1, &reply, &[at(REPLY.into(), reply.len())], false)).unwrap();
    let error = guest.score(&[0.0]).unwrap_err().to_string();
    assert!(error.contains("nnn…` \\u{1b}[2J") && error.len() < 200, "{error}");
}

#[test]
fn a_trap() {
    assert!(
        matches!(answers(&[Instruction::Unreachable]), HostError::Trap { reason } if reason.contains("unreachable"))
    );
}

#[test]
fn an_endless_loop() {
    let body = [
        Instruction::Loop(wasm_encoder::BlockType::Empty),
        Instruction::Br(0),
        Instruction::End,
        Instruction::Unreachable,
    ];
    assert_eq!(answers(&body), HostError::Deadline { ms: 50 });
}

#[test]
fn memory_without_end() {
    let body = [
        Instruction::Loop(wasm_encoder::BlockType::Empty),
        Instruction::I32Const(16),
        Instruction::MemoryGrow(0),
        Instruction::Drop,
        Instruction::Br(0),
        Instruction::End,
        Instruction::Unreachable,
    ];
    assert_eq!(answers(&body), HostError::Memory { limit: 4 << 20 });
}

#[test]
fn replies_that_lie() {
    for (name, reply) in [
        ("null", at(0, 8)),
        ("beyond the memory", at(1 << 30, 8)),
        ("over the end", at((32 << 16) - 4, 8)),
        ("as long as everything", at(REPLY.into(), u32::MAX as usize)),
        ("no message", at(BUFFER.into(), 3)),
        ("empty", at(REPLY.into(), 0)),
    ] {
        assert!(matches!(answers(&[reply]), HostError::Reply { .. }), "{name}");
    }
}

#[test]
fn another_abi() {
    let error = start(&guest(2, &[], &[Instruction::Unreachable], false)).unwrap_err();
    assert_eq!(error, HostError::Abi { got: 2, expected: 1 });
}

#[test]
fn an_import() {
    let error = start(&guest(1, &[], &[Instruction::Unreachable], true)).unwrap_err();
    assert!(error.to_string().contains("imports `wasi_snapshot_preview1.random_get`"), "{error}");
}

#[test]
fn files_that_are_no_engine() {
    let whole = guest(1, &[], &[Instruction::Unreachable], false);
    for wasm in [&b""[..], b"not wasm", &whole[..whole.len() - 7], &Module::new().finish()] {
        assert!(matches!(start(wasm), Err(HostError::Engine(_))));
    }
}

/// Set for a process that runs a test of this file with few addresses.
#[cfg(target_os = "linux")]
const FEW_ADDRESSES: &str = "HEARTH_TEST_FEW_ADDRESSES";

#[cfg(target_os = "linux")]
#[test]
fn a_process_with_few_addresses_answers_all_the_same() {
    if std::env::var_os(FEW_ADDRESSES).is_some() {
        assert!(Engine::new(&pooling()).is_err(), "there are addresses enough");
        a_guest_that_behaves_is_heard_and_used_again();
        a_guest_that_remembers_the_last_user_finds_nothing();
        assert!(matches!(answers(&[Instruction::Unreachable]), HostError::Trap { .. }));
        return;
    }
    let this = std::env::current_exe().unwrap();
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 4000000 && exec \"$0\" --exact --test-threads 1 --nocapture \"$1\""])
        .arg(this)
        .arg("host::tests::a_process_with_few_addresses_answers_all_the_same")
        .env(FEW_ADDRESSES, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn engines_that_are_no_longer_used_are_forgotten() {
    let host = Host::new().unwrap();
    let load = Load { encoder: Vec::new(), policy: Vec::new(), tables: Vec::new(), model: Vec::new() };
    // Engines of one meaning, and different bytes.
    let engine = |k: u8| guest(1, &[k], &[Instruction::Unreachable], false);
    let first = Guest::new(&host, &engine(0), &load, limits()).unwrap();
    for k in 1..2 * COMPILED as u8 {
        Guest::new(&host, &engine(k), &load, limits()).unwrap();
        assert_eq!(lock(&host.compiled).len(), COMPILED.min(k as usize + 1));
    }
    assert!(matches!(first.describe(), Err(HostError::Trap { .. })), "a guest keeps its own engine");
}
