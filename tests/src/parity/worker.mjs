// A host of parity: fetches chunks from the driver, answers them with docs/examples/host.mjs and posts the digests.
// The same file runs in Node and in a page. Replies are bytes all the way: no number of a reply becomes a JavaScript number.
import { Engine } from "../../../docs/examples/host.mjs";

const LOAD = 0xffffffff;

/** See `digest` in chunk.rs. */
function digest(reply) {
  let a = 0x9e3779b9 | 0;
  let b = 0x85ebca6b | 0;
  const step = (word) => {
    a ^= word;
    a = Math.imul((a << 13) | (a >>> 19), 0xcc9e2d51);
    b = (b + word) | 0;
    b = Math.imul((b << 19) | (b >>> 13), 0x1b873593);
  };
  const words = new Int32Array(reply.buffer, 0, reply.length >>> 2);
  for (let k = 0; k < words.length; k++) step(words[k]);
  for (let k = words.length * 4; k < reply.length; k++) step(reply[k]);
  step(reply.length);
  return [a, b];
}

function answer(engine, chunk) {
  const view = new DataView(chunk.buffer);
  const digests = [];
  for (let at = 0; at < chunk.length; ) {
    const [op, length] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
    const message = chunk.subarray(at + 8, at + 8 + length);
    at += 8 + length;
    if (op === LOAD) engine.load(message);
    digests.push(...digest(op === LOAD ? new Uint8Array([0]) : engine.call(op, message)));
  }
  return new Uint8Array(new Int32Array(digests).buffer);
}

/** Works until the driver has no chunk left. */
export async function work(driver) {
  try {
    const engine = await Engine.start(await (await fetch(`${driver}/engine.wasm`)).arrayBuffer());
    let digests = new Uint8Array();
    for (;;) {
      const next = await fetch(`${driver}/next`, { method: "POST", body: digests });
      if (next.status !== 200) return;
      digests = answer(engine, new Uint8Array(await next.arrayBuffer()));
    }
  } catch (error) {
    await fetch(`${driver}/failed`, { method: "POST", body: `${error.stack ?? error}` });
  }
}

await work(globalThis.process?.argv[2] ?? globalThis.location.origin);
