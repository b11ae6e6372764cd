// Ranks in a real page: `node rank.mjs INPUT`, one JSON line out. Needs HEARTH_HOSTS with playwright-core.
// INPUT: { browser, build, registry, trust, channel, surface, interactions, requests }; `build` has hearth.js.
// Out: { rows: base64 of each row, refused: { tampered, older } }.
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, normalize } from "node:path";

const playwright = createRequire(join(process.env.HEARTH_HOSTS, "package.json"))("playwright-core");
const input = JSON.parse(await readFile(process.argv[2], "utf8"));
const TYPES = { js: "text/javascript", wasm: "application/wasm" };

// `/registry-tampered/` is the registry with a bit of each blob turned round.
const server = createServer(async (request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url, "http://page").pathname));
  if (path === "/") {
    return response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>page</title>");
  }
  const [, place, ...rest] = path.split("/");
  const folder = { build: input.build, registry: input.registry, "registry-tampered": input.registry }[place];
  try {
    const bytes = await readFile(join(folder, ...rest));
    if (place === "registry-tampered" && rest[0] === "blobs") bytes[bytes.length >> 1] ^= 1;
    response.writeHead(200, { "content-type": TYPES[path.split(".").pop()] ?? "application/octet-stream" }).end(bytes);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const browser = await playwright.chromium.launch({
  executablePath: input.browser,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
try {
  const page = await browser.newPage();
  const url = `http://127.0.0.1:${server.address().port}/`;
  const trust = [...await readFile(input.trust)];
  const open = async () => {
    await page.goto(url);
    await page.evaluate(async ({ trust, channel, surface }) => {
      const { default: load, HearthEdge } = await import("/build/hearth.js");
      await load();
      window.open_ = (registry) => HearthEdge.open(registry, new Uint8Array(trust), channel, surface, "hearth");
      window.edge = await window.open_("/registry");
    }, { trust, channel: input.channel, surface: input.surface });
  };
  await open();
  await page.evaluate(async (all) => { for (const i of all) await window.edge.interact(JSON.stringify(i)); }, input.interactions);
  // The history must be there in a page that is loaded again.
  await open();
  const rows = await page.evaluate(async (requests) => {
    const rows = [];
    for (const request of requests) {
      const { row } = await window.edge.rank(JSON.stringify(request));
      rows.push(btoa(Array.from(row, (byte) => String.fromCharCode(byte)).join("")));
    }
    return rows;
  }, input.requests);
  const message = (registry) => page.evaluate((r) => window.open_(r).then(() => "", (e) => e.message), registry);
  const tampered = await message("/registry-tampered");
  // As if a newer pointer had been seen.
  await page.evaluate((key) => new Promise((resolve, reject) => {
    const request = indexedDB.open("hearth", 1);
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const transaction = request.result.transaction("sequences", "readwrite");
      transaction.objectStore("sequences").put(1e6, key);
      transaction.oncomplete = () => resolve();
    };
  }), `${input.surface}/${input.channel}`);
  const older = await message("/registry");
  console.log(JSON.stringify({ rows, refused: { tampered, older } }));
} finally {
  await browser.close();
  server.close();
}
