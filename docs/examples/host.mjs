// A host for Hearth's engine on plain WebAssembly; the same file runs in Node and in a browser.
//
//   node host.mjs REGISTRY BUNDLE_DIGEST     replays the bundle's golden requests, then ranks one of its own
//
// REGISTRY is a folder or a URL; a trainer's RUN folder is laid out like one. docs/engine.md describes every byte.
// A real host verifies the channel that names the bundle first, and limits time and memory of every call.

const MISSING = 0x7fc00000; // the bits of a missing number
const NO_CODE = 0xffffffff; // a missing category
const NO_TIME = -(2n ** 63n); // a missing timestamp
const OP = { describe: 0, extract: 1, encode: 2, score: 3, rank: 4 };

// --- The engine: five exports, no imports ---

export class Engine {
  static async start(wasm) {
    const { instance } = await WebAssembly.instantiate(wasm, {});
    if (instance.exports.hearth_abi() !== 1) throw new Error("this host speaks ABI 1 only");
    return new Engine(instance.exports);
  }

  constructor(exports) {
    this.exports = exports;
  }

  /** Copies a message into a buffer of the guest, which takes it over with the next call. */
  #hand(message) {
    const at = this.exports.hearth_alloc(message.length) >>> 0;
    if (at === 0) throw new Error("the engine has no memory left");
    new Uint8Array(this.exports.memory.buffer).set(message, at); // memory may have moved: a new view every time
    return at;
  }

  load(message) {
    if (this.exports.hearth_load(this.#hand(message), message.length) === 0) return;
    throw new Error(`the engine refused: ${decode(REPLY(DESCRIPTION), this.call(OP.describe, encode(struct({}), {})))[1]}`);
  }

  /** The reply's bytes. */
  call(op, message) {
    const packed = BigInt.asUintN(64, this.exports.hearth_call(op, this.#hand(message), message.length));
    const [at, length] = [Number(packed >> 32n), Number(packed & 0xffffffffn)];
    if (at === 0) throw new Error("the engine has no memory left");
    const reply = new Uint8Array(this.exports.memory.buffer).slice(at, at + length);
    this.exports.hearth_free(at, length);
    return reply;
  }
}

// --- The codec: a version byte, then fields one after the other; a type is a pair of [read, write] ---

const wide = [[251, 2], [252, 4], [253, 8]];
const big = [ // any unsigned number: one byte up to 250, else a mark and 2, 4 or 8 bytes
  (r) => {
    const first = r.bytes[r.at++];
    const bytes = wide.find(([mark]) => mark === first)?.[1];
    if (bytes === undefined) return BigInt(first);
    let value = 0n;
    for (let k = 0; k < bytes; k++) value |= BigInt(r.bytes[r.at++]) << BigInt(8 * k);
    return value;
  },
  (out, value) => {
    if (value < 251n) return void out.push(Number(value));
    const [mark, bytes] = wide.find(([, bytes]) => value >> BigInt(8 * bytes) === 0n);
    out.push(mark);
    for (let k = 0; k < bytes; k++) out.push(Number((value >> BigInt(8 * k)) & 255n));
  },
];
const uint = [(r) => Number(big[0](r)), (out, value) => big[1](out, BigInt(value))];
const int = [ // signed, as 2n or -2n - 1
  (r) => { const z = big[0](r); return (z & 1n) === 0n ? z >> 1n : -(z >> 1n) - 1n; },
  (out, value) => big[1](out, value < 0 ? -2n * BigInt(value) - 1n : 2n * BigInt(value)),
];
const bytes = [
  (r) => { const length = uint[0](r); return r.bytes.slice(r.at, (r.at += length)); },
  (out, value) => { uint[1](out, value.length); for (const byte of value) out.push(byte); },
];
const text = [(r) => new TextDecoder().decode(bytes[0](r)), (out, value) => bytes[1](out, new TextEncoder().encode(value))];
const floats = [(r) => new Float32Array(bytes[0](r).buffer), (out, value) => bytes[1](out, new Uint8Array(value.buffer))];
const list = ([read, write]) => [
  (r) => Array.from({ length: uint[0](r) }, () => read(r)),
  (out, value) => { uint[1](out, value.length); for (const one of value) write(out, one); },
];
const tuple = (...types) => [(r) => types.map(([read]) => read(r)), (out, value) => types.forEach(([, write], k) => write(out, value[k]))];
const struct = (fields) => [
  (r) => Object.fromEntries(Object.entries(fields).map(([name, [read]]) => [name, read(r)])),
  (out, value) => { for (const [name, [, write]] of Object.entries(fields)) write(out, value[name]); },
];
const variant = (...types) => [ // [which, value]
  (r) => { const k = uint[0](r); return [k, types[k]?.[0](r)]; },
  (out, [k, value]) => { uint[1](out, k); types[k][1](out, value); },
];
const nothing = struct({});

export function encode([, write], value) {
  const out = [1];
  write(out, value);
  return new Uint8Array(out);
}

export function decode([read], bytes) {
  const reader = { bytes, at: 1 };
  if (bytes[0] !== 1) throw new Error(`version ${bytes[0]} of the codec, this host reads 1`);
  const value = read(reader);
  if (reader.at !== bytes.length) throw new Error(`${bytes.length - reader.at} bytes left over`);
  return value;
}

// --- The messages ---

const CATEGORIES = struct({ names: list(text), codes: list(uint) });
const TAGS = struct({ names: list(text), offsets: list(uint), codes: list(uint) });
const COLUMN = variant(floats, CATEGORIES, TAGS, struct({ width: uint, data: floats }), list(int));
const HISTORY = struct({ items: list(text), actions: list(text), ts: list(int), item: list(uint), action: list(uint), offset_min: list(int), dwell_ms: floats, completion: floats });
const REQUEST = struct({ id: text, ts: int, offset_min: int, user: list(COLUMN), context: list(COLUMN), candidates: list(text), fields: list(COLUMN), exclude: list(text) });
const CALL = struct({ histories: list(HISTORY), requests: list(tuple(uint, REQUEST)), salt: text });
const VALUES = struct({ rows: uint, columns: list(COLUMN) });
const ROWS = struct({ items: list(text), sources: bytes, ranks: list(uint), scores: floats, propensity: floats, sampling: floats, history_entries: uint, values: VALUES, vectors: floats });
const RANKED = struct({ rows: ROWS, candidates: uint, nan_scores: uint });
const DESCRIPTION = struct({ abi: uint, kind: text, features: uint, width: uint, items: uint, model: text });
const LOAD = struct({ encoder: bytes, policy: bytes, tables: bytes, model: bytes });
const REPLY = (type) => variant(type, text); // 0: done, 1: refused, and why
const KIND = variant(nothing, nothing, nothing, nothing, nothing, uint, nothing); // number, boolean, category, tags, text, vector(width), timestamp
const FIELDS = list(struct({ name: text, kind: KIND }));
const SCHEMA = struct({ user: FIELDS, context: FIELDS, item: FIELDS, candidate: FIELDS }); // an encoder begins with it

/** A column of `rows` missing values of a field's kind. */
function missing([kind, width], rows) {
  const numbers = (count) => new Float32Array(new Uint32Array(count).fill(MISSING).buffer);
  if (kind <= 1) return [0, numbers(rows)];
  if (kind === 2 || kind === 4) return [1, { names: [], codes: Array(rows).fill(NO_CODE) }];
  if (kind === 3) return [2, { names: [], offsets: Array(rows + 1).fill(0), codes: [] }];
  if (kind === 5) return [3, { width, data: numbers(rows * width) }];
  return [4, Array(rows).fill(NO_TIME)];
}

// --- A bundle: read, replayed, asked ---

/** The parts of a bundle by role; `read` gives the bytes of a path of the registry. */
export async function parts(read, digest) {
  const manifest = JSON.parse(new TextDecoder().decode(await read(`bundles/${digest}`)));
  const blobs = manifest.blobs.map(async (blob) => [blob.role, await read(`blobs/sha256/${blob.sha256}`)]);
  return Object.fromEntries(await Promise.all(blobs));
}

/** Whether an engine answers the golden requests with the very bytes that were recorded; and the requests. */
export function replay(engine, golden) {
  const reader = { bytes: golden, at: 1 };
  const call = CALL[0](reader); // the blob is a call's fields, then the answers'
  const message = golden.slice(0, reader.at);
  const answers = golden.slice(reader.at);
  const reply = engine.call(OP.rank, message);
  const same = reply.length === answers.length + 2 && reply[0] === 1 && reply[1] === 0 && answers.every((byte, k) => reply[k + 2] === byte);
  return { same, call };
}

/** The slate for candidates of which nothing is known, and a user who played the last of them an hour ago. */
export function rank(engine, encoder, candidates, ts) {
  const schema = SCHEMA[0]({ bytes: encoder, at: 1 });
  const columns = (fields, rows) => fields.map((field) => missing(field.kind, rows));
  const number = new Float32Array(new Uint32Array([MISSING]).buffer);
  const history = { items: candidates.slice(-1), actions: ["play"], ts: [ts - 3_600_000n], item: [0], action: [0], offset_min: [0], dwell_ms: number, completion: number };
  const request = { id: "made-up", ts, offset_min: 0, user: columns(schema.user, 1), context: columns(schema.context, 1), candidates, fields: columns(schema.candidate, candidates.length), exclude: [] };
  const reply = engine.call(OP.rank, encode(CALL, { histories: [history], requests: [[0, request]], salt: "salt" }));
  const [refused, answer] = decode(REPLY(list(RANKED)), reply);
  if (refused) throw new Error(`the engine refused: ${answer}`);
  const { items, ranks, scores } = answer[0].rows;
  return items.map((item, k) => ({ item, rank: ranks[k], score: scores[k] })).filter((row) => row.rank !== 0xffffffff);
}

/** Replays and ranks; prints with `print`. */
export async function run(read, digest, print) {
  const { engine: wasm, golden, ...load } = await parts(read, digest);
  const engine = await Engine.start(wasm);
  engine.load(encode(LOAD, load));
  const { same, call } = replay(engine, golden);
  print(`golden requests: ${call.requests.length}, answers ${same ? "equal byte for byte" : "DIFFER"}`);
  const { candidates, ts } = call.requests[0][1];
  for (const { rank: place, item, score } of rank(engine, load.encoder, candidates, ts)) print(`${place + 1} ${item} ${score}`);
  return same;
}

if (globalThis.process?.argv[1]?.endsWith("host.mjs")) {
  const [registry, digest] = process.argv.slice(2);
  const { readFile } = await import("node:fs/promises");
  const local = async (path) => new Uint8Array(await readFile(`${registry}/${path}`));
  const remote = async (path) => new Uint8Array(await (await fetch(`${registry}/${path}`)).arrayBuffer());
  const same = await run(/^https?:/.test(registry) ? remote : local, digest, console.log);
  process.exitCode = same ? 0 : 1;
}
