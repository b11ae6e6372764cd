// The playground: an edge in this page, an editor for a request, and the shelf that the edge makes of it.
import load, { HearthEdge } from "/playground/edge/hearth.js";

const $ = (id) => document.getElementById(id);
const read = async (path) => (await fetch(`/playground/${path}`)).json();
/** Features of a card. */
const SHOWN = 5;

let edge;
let sources = [];
let request;

/** A value of a field as it is typed: JSON where it is JSON, text where not, missing where empty. */
function typed(text) {
  if (text.trim() === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What [`typed`] makes the same value of: a text stands as it is where it stays a text, and on one line. */
function shown(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" && typed(value) === value && !/[\r\n]/.test(value) ? value : JSON.stringify(value);
}

/** A time as people read it; the number where no calendar has it. */
function when(ts) {
  const date = new Date(ts);
  return Number.isNaN(date.getTime()) ? String(ts) : date.toISOString();
}

function fill(set, fields) {
  $(`${set}-set`).hidden = Object.keys(fields).length === 0;
  $(set).replaceChildren(...Object.entries(fields).map(([name, value]) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    input.name = name;
    input.value = shown(value);
    input.placeholder = "missing";
    label.append(`${name} `, input);
    return label;
  }));
}

const fields = (set) => Object.fromEntries([...$(set).querySelectorAll("input")].map((i) => [i.name, typed(i.value)]));

/** One entry a line, so that a list stays readable. */
const lines = (list) => (list.length === 0 ? "[]" : `[\n${list.map((x) => `  ${JSON.stringify(x)}`).join(",\n")}\n]`);

function choose({ event, history }) {
  request = event;
  $("user").value = event.user;
  // Years of other than four digits the input does not take, and so shows none.
  $("time").value = when(event.ts).slice(0, 19);
  $("offset").value = event.offset_min ?? 0;
  // Every declared field has its place, whether the request had it or not.
  const declared = JSON.parse(edge.madeUp());
  fill("attributes", { ...declared.attributes, ...event.attributes });
  fill("context", { ...declared.context, ...event.context });
  $("candidates").value = lines(event.candidates);
  $("history").value = lines(history);
  rank();
}

/** What an editor holds; its error stands below it. */
function parsed(id) {
  const error = $(`${id}-error`);
  error.textContent = "";
  $(id).classList.remove("wrong");
  try {
    return JSON.parse($(id).value);
  } catch (e) {
    error.textContent = `Not JSON: ${e.message}`;
    $(id).classList.add("wrong");
    return undefined;
  }
}

function edited() {
  const [candidates, history] = [parsed("candidates"), parsed("history")];
  if (candidates === undefined || history === undefined) return undefined;
  const ts = new Date(`${$("time").value}Z`).getTime();
  // A time that the input cannot show is kept, and so are milliseconds while the time stands.
  const same = Number.isNaN(ts) || Math.floor(request.ts / 1000) === Math.floor(ts / 1000);
  const event = {
    ...request,
    user: $("user").value,
    ts: same ? request.ts : ts,
    offset_min: Number($("offset").value),
    attributes: fields("attributes"),
    context: fields("context"),
    candidates,
  };
  return { event, history };
}

function row(feature, largest) {
  const line = document.createElement("tr");
  const [name, number, bar] = ["td", "td", "td"].map((tag) => document.createElement(tag));
  name.textContent = name.title = feature.feature;
  number.textContent = `${feature.contribution > 0 ? "+" : "−"}${Math.abs(feature.contribution).toPrecision(3)}`;
  number.className = feature.contribution > 0 ? "up" : "down";
  const meter = document.createElement("meter");
  meter.max = largest;
  meter.value = Math.abs(feature.contribution);
  meter.setAttribute("aria-label", `size of what ${feature.feature} adds`);
  bar.append(meter);
  line.append(name, number, bar);
  return line;
}

function card(item, explained, largest) {
  const card = document.createElement("li");
  const head = document.createElement("header");
  const [place, name, score] = ["span", "b", "span"].map((tag) => document.createElement(tag));
  [place.className, score.className] = ["place", "score"];
  [place.textContent, name.textContent] = [item.position + 1, item.item];
  score.textContent = item.score === null ? "no score" : item.score.toPrecision(5);
  head.append(place, name, score);
  const table = document.createElement("table");
  table.append(...(explained?.features ?? []).slice(0, SHOWN).map((feature) => row(feature, largest)));
  card.append(head, table);
  return card;
}

/** Ranks what the editors hold; nothing is logged. */
function rank() {
  const what = edited();
  $("shelf").classList.toggle("stale", what === undefined);
  if (what === undefined) return;
  try {
    const started = performance.now();
    const preview = JSON.parse(edge.preview(JSON.stringify(what.event), JSON.stringify(what.history)));
    const took = performance.now() - started;
    const items = preview.explanation?.items ?? [];
    const largest = Math.max(1e-9, ...items.flatMap((i) => i.features.map((f) => Math.abs(f.contribution ?? 0))));
    const of = (item) => items.find((explained) => explained.item === item);
    $("shelf").replaceChildren(...preview.answer.items.map((item) => card(item, of(item.item), largest)));
    const facts = {
      ranked: `in ${took.toFixed(1)} ms, explained too, by ${preview.answer.fallback ? "the fallback" : "the model"}`,
      contributions: preview.explanation?.method ?? "none",
      arm: preview.answer.arm,
      bundle: preview.answer.bundle,
      tables: preview.answer.tables,
      engine: edge.engine,
    };
    $("facts").replaceChildren(...Object.entries(facts).flatMap(([term, value]) => {
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      [dt.textContent, dd.textContent] = [term, value];
      dd.id = `fact-${term}`;
      return [dt, dd];
    }));
    $("error").textContent = preview.fault ?? "";
  } catch (e) {
    $("error").textContent = e.message;
    $("shelf").classList.add("stale");
  }
}

async function log(event) {
  event.preventDefault();
  const what = edited();
  if (what === undefined) return;
  try {
    const ranking = await edge.rankWith(JSON.stringify(what.event), JSON.stringify(what.history));
    const row = ranking.row;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", row));
    const hex = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    $("logged").textContent = `${row.length} bytes in this browser's spool, sha256 ${hex}`;
  } catch (e) {
    $("error").textContent = e.message;
  }
}

/** Opens the edge of a surface, and lists what can be ranked on it. */
async function open(surface, channel, trust) {
  $("state").textContent = "Loading the edge";
  edge = await HearthEdge.open("/playground/registry", trust, channel, surface, "hearth-playground");
  const madeUp = JSON.parse(edge.madeUp());
  const history = JSON.parse(await edge.interactions(madeUp.user));
  const logged = await read(`requests/${encodeURIComponent(surface)}`);
  sources = [{ event: madeUp, history }, ...logged];
  const name = ({ event }, k) => (k === 0 ? "made up" : `${event.user}, ${when(event.ts)}`);
  $("source").replaceChildren(...sources.map((source, k) => new Option(name(source, k), k)));
  choose(sources[0]);
  // For the console, and whoever drives this page.
  globalThis.hearth = edge;
  $("state").textContent = "The edge in this page is ready";
}

async function start() {
  const [settings, trust] = await Promise.all([
    read("settings"),
    fetch("/playground/trust").then((r) => r.arrayBuffer()),
    load(),
  ]);
  if (settings.surfaces.length === 0) throw new Error("this edge serves no bundle yet: publish one, and load this page again");
  $("surface").replaceChildren(...settings.surfaces.map((surface) => new Option(surface)));
  const opened = () => open($("surface").value, settings.channel, new Uint8Array(trust)).catch(failed);
  $("surface").addEventListener("change", opened);
  $("source").addEventListener("change", () => choose(sources[$("source").value]));
  $("editor").addEventListener("input", rank);
  $("editor").addEventListener("submit", log);
  await opened();
}

function failed(error) {
  $("state").textContent = "The edge could not be opened";
  $("error").textContent = error.message;
}

start().catch(failed);
