// onnxruntime-web in Node: `peer.mjs MODULES FOLDER SHAPE CALLS`; see peers.py for what is printed.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [modules, folder, shape, calls] = process.argv.slice(2);
const ort = createRequire(`${modules}/package.json`)("onnxruntime-web");
ort.env.wasm.numThreads = 1;
const bytes = readFileSync(`${folder}/x.f32`);
const x = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
const rows = x.length / 40;
const session = await ort.InferenceSession.create(readFileSync(`${folder}/${shape}.onnx`), { executionProviders: ["wasm"] });
const feeds = { [session.inputNames[0]]: new ort.Tensor("float32", x, [rows, 40]) };
const scores = await session.run(feeds);
console.log([...scores[session.outputNames[0]].data].join(" "));
for await (const _ of createInterface({ input: process.stdin })) {
  const started = performance.now();
  for (let k = 0; k < Number(calls); k++) await session.run(feeds);
  console.log(((performance.now() - started) / Number(calls) / rows) * 1000);
}
