// Drives the playground in a browser: `node --experimental-websocket drive.mjs INPUT`, one line of JSON out.
//
// INPUT is a file: { browser, program, url, interactions, request, tamper, screenshot }; HEARTH_HOSTS has playwright-core.
// Chromium is driven by Playwright. Playwright's way into a stock Firefox asks for an emulation that Firefox ESR does
// not have yet, so Firefox is driven by the protocol beneath, WebDriver BiDi, with no more than is needed here.
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const input = JSON.parse(await readFile(process.argv[2], "utf8"));

/** Each driver has `open(url)`, `run(f, argument)` in the page, `type(id, text)` and `close()`. */
async function chromium() {
  const { chromium } = createRequire(join(process.env.HEARTH_HOSTS, "package.json"))("playwright-core");
  const browser = await chromium.launch({
    executablePath: input.program,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  return {
    open: (url) => page.goto(url),
    run: (f, argument) => page.evaluate(f, argument),
    type: (id, text) => page.fill(`#${id}`, text),
    screenshot: (path) => page.screenshot({ path }),
    close: () => browser.close(),
  };
}

async function firefox() {
  const profile = await mkdtemp(join(tmpdir(), "hearth-firefox-"));
  await writeFile(join(profile, "user.js"), input.preferences);
  const process_ = spawn(input.program,
    ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0"], { stdio: ["ignore", "ignore", "pipe"] });
  let address;
  for await (const line of createInterface({ input: process_.stderr })) {
    address = line.match(/WebDriver BiDi listening on (ws:\S+)/)?.[1];
    if (address) break;
  }
  const socket = new WebSocket(`${address}/session`);
  await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
  const waiting = new Map();
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    const [resolve, reject] = waiting.get(message.id) ?? [];
    waiting.delete(message.id);
    if (message.type === "success") resolve?.(message.result);
    else reject?.(new Error(`${message.error}: ${message.message}`));
  };
  let last = 0;
  const send = (method, params) => new Promise((resolve, reject) => {
    waiting.set(++last, [resolve, reject]);
    socket.send(JSON.stringify({ id: last, method, params }));
  });
  await send("session.new", { capabilities: {} });
  const { contexts: [{ context }] } = await send("browsingContext.getTree", {});
  // Arguments and results travel as JSON text.
  const run = async (f, argument) => {
    const body = `async (text) => JSON.stringify((await (${f})(JSON.parse(text))) ?? null)`;
    const called = await send("script.callFunction", {
      functionDeclaration: body, awaitPromise: true, target: { context },
      arguments: [{ type: "string", value: JSON.stringify(argument ?? null) }],
    });
    if (called.type === "exception") throw new Error(called.exceptionDetails.text);
    return JSON.parse(called.result.value);
  };
  return {
    run,
    open: (url) => send("browsingContext.navigate", { context, url, wait: "complete" }),
    type: (id, text) => run(([id, text]) => {
      const element = document.getElementById(id);
      element.value = text;
      element.dispatchEvent(new Event("input", { bubbles: true }));
    }, [id, text]),
    close: async () => {
      await send("browser.close", {}).catch(() => {});
      socket.close();
      process_.kill();
      await rm(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Runs in the page: until the edge is open, or could not be. */
const ready = () => new Promise((resolve) => {
  const look = () => {
    const error = document.getElementById("error").textContent;
    if (globalThis.hearth || error) resolve({ error, state: document.getElementById("state").textContent });
    else requestAnimationFrame(look);
  };
  look();
});
const shelf = () => [...document.querySelectorAll("#shelf li")].map((card) => card.textContent);

const driver = await { chromium, firefox }[input.browser]();
try {
  const open = async () => {
    await driver.open(input.url);
    const opened = await driver.run(ready);
    if (opened.error) throw new Error(opened.error);
  };
  await open();
  const engine = await driver.run(() => document.getElementById("fact-engine").textContent);
  // The shelf follows what is typed: a history, fewer candidates, and nonsense.
  await driver.type("history", JSON.stringify(input.interactions));
  const before = await driver.run(shelf);
  const { candidates } = await driver.run(() => JSON.parse(globalThis.hearth.madeUp()));
  await driver.type("candidates", JSON.stringify(candidates.slice(0, 3)));
  const fewer = await driver.run(shelf);
  await driver.type("candidates", "[{");
  const nonsense = await driver.run(() => document.getElementById("candidates-error").textContent);
  await driver.type("candidates", JSON.stringify([{ item: 1 }]));
  const refused = await driver.run(() => document.getElementById("error").textContent);
  await driver.type("candidates", JSON.stringify(candidates));
  if (input.screenshot) await driver.screenshot?.(input.screenshot);

  // A request that the server ranked, at a time that no input shows and with a text that reads as a number.
  const odd = await driver.run(() => {
    const source = document.getElementById("source");
    source.value = "1";
    source.dispatchEvent(new Event("change", { bubbles: true }));
    return {
      error: document.getElementById("error").textContent,
      name: source.selectedOptions[0].textContent,
      country: document.querySelector("#attributes input[name=country]").value,
      cards: document.querySelectorAll("#shelf li").length,
    };
  });
  // What the page logs then, for another user than the history in the editor names.
  await driver.type("history", JSON.stringify(input.interactions));
  const logged = await driver.run(async () => {
    const said = ["logged", "error"].map((id) => document.getElementById(id));
    const done = new Promise((resolve) => {
      said.forEach((line) => new MutationObserver(resolve).observe(line, { childList: true }));
    });
    document.getElementById("log").click();
    await done;
    const spool = await new Promise((resolve) => {
      indexedDB.open("hearth-playground").onsuccess = ({ target: { result } }) => {
        result.transaction("spool").objectStore("spool").getAll().onsuccess = (event) => resolve(event.target.result);
      };
    });
    return { entries: spool.length, row: [...spool.at(-1)], error: document.getElementById("error").textContent };
  });

  // A history must be there in a page that is loaded again.
  await driver.run(async (all) => { for (const i of all) await globalThis.hearth.interact(JSON.stringify(i)); }, input.interactions);
  await open();
  const ranked = await driver.run(async (request) => {
    const ranking = await globalThis.hearth.rank(JSON.stringify(request));
    return { row: [...ranking.row], fault: ranking.fault ?? null };
  }, input.request);
  // The given history counts, and not the stored one.
  const given = await driver.run(async ({ request, interactions }) => {
    await globalThis.hearth.interact(JSON.stringify({ ...interactions[0], id: "one-more", action: "like" }));
    return [...(await globalThis.hearth.rankWith(JSON.stringify(request), JSON.stringify(interactions))).row];
  }, input);

  // Events without a user are of the installation, whose id stays.
  const unnamed = await driver.run(async ({ request, interactions }) => {
    const [{ user: _, ...interaction }, { user: __, ...asked }] = [interactions[0], request];
    await globalThis.hearth.interact(JSON.stringify({ ...interaction, id: "unnamed" }));
    const { row } = await globalThis.hearth.rank(JSON.stringify(asked));
    const { installation } = globalThis.hearth;
    const lost = await globalThis.hearth.rank(JSON.stringify({ ...request, user: null })).then(() => "", (error) => error.message);
    return { installation, lost, history: JSON.parse(await globalThis.hearth.interactions(installation)), row: [...row] };
  }, input);
  await open();
  const again = await driver.run(() => globalThis.hearth.installation);

  // A newer pointer was seen, as far as the database knows.
  const reopen = () => driver.run(async (surface) => {
    const { HearthEdge } = await import("/playground/edge/hearth.js");
    const trust = new Uint8Array(await (await fetch("/playground/trust")).arrayBuffer());
    const { channel } = await (await fetch("/playground/settings")).json();
    return HearthEdge.open("/playground/registry", trust, channel, surface, "hearth-playground")
      .then(() => "", (error) => error.message);
  }, input.request.surface);
  const sound = await reopen();
  // The test alters the registry's files when this line comes, and answers when it has.
  console.log(JSON.stringify({ engine, before, fewer, nonsense, refused, odd, logged, ranked, given, unnamed, again, sound }));
  for await (const _ of createInterface({ input: process.stdin })) break;
  const tampered = await reopen();
  const older = await driver.run((surface) => new Promise((resolve, reject) => {
    const request = indexedDB.open("hearth-playground");
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const transaction = request.result.transaction("sequences", "readwrite");
      const all = transaction.objectStore("sequences");
      all.openCursor().onsuccess = ({ target: { result } }) => {
        if (!result) return;
        result.update(1e6);
        result.continue();
      };
      transaction.oncomplete = () => resolve(surface);
    };
  }), input.request.surface).then(reopen);
  console.log(JSON.stringify({ tampered, older }));
} finally {
  await driver.close();
}
