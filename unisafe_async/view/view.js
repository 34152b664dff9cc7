// A run's page: items are read from the cache as they come into view, answers can be labelled, and a run that goes on is followed.
"use strict";

const facts = JSON.parse(byId("data-run").textContent);
const base = `/api/runs/${encodeURIComponent(facts.run)}`;
const ORDERS = {
  differences: "differences first", failures: "failures first", judges: "judges disagree first", unjudged: "unjudged first",
};
const entries = new Map(); // what is known of the list, by key
const asked = new Set(); // keys on their way
let progress = {}; // how far the run is
let query = ""; // the filters of the list that is shown
let settled = ""; // what the open item showed when it was read

// ---------------------------------------------------------------- items

async function select(wanted) {
  const next = new URLSearchParams(Object.entries(wanted).filter(([, given]) => given));
  if (byId("blind").checked) next.set("blind", "1");
  const got = await tell(() => ask(`${base}/items?${next}`));
  if (!got) return { shown, any: false, answers: 0 };
  query = next.toString();
  entries.clear();
  asked.clear();
  source.total = got.total;
  for (const kind of ["csv", "jsonl"]) if (byId(`save-${kind}`)) byId(`save-${kind}`).href = `${base}/export?format=${kind}&${query}`;
  return { shown: got.keys, any: got.any, answers: got.answers };
}

function entryOf(key) {
  if (entries.has(key)) return entries.get(key);
  if (!asked.size) queueMicrotask(readEntries);
  asked.add(key);
  return null;
}

async function readEntries() {
  const keys = [...asked], of = query;
  const got = await tell(() => ask(`${base}/entries?${of}&keys=${keys.join(",")}`));
  if (of !== query) return;
  asked.clear();
  if (!got) { setTimeout(() => draw(true), LATER); return; }
  for (const key of keys) entries.set(key, readEntry(got.entries[key]));
  draw(true);
}

function readEntry(one) {
  if (!one) return { name: "(gone from the cache)", words: "", picture: null, marks: [] };
  const mark = (each) => ({ ...each, model: each.hidden ? "a model" : each.model, verdict: each.hidden ? "hidden" : verdictOf(each.contextual, each.intrinsic) });
  return { ...one, marks: one.marks.map(mark) };
}

async function itemOf(key) {
  const got = await tell(() => ask(`${base}/item?${query}&key=${key}`));
  if (!got || !got.item) return null;
  settled = JSON.stringify(got.item);
  for (const one of got.item.answers) one.key = key;
  return got.item;
}

async function find(name) {
  const got = await tell(() => ask(`${base}/find?${new URLSearchParams({ name })}`));
  return got?.key ?? -1;
}

const address = (digest, name, small) => `/runs/${encodeURIComponent(facts.run)}/images/${digest}?${new URLSearchParams({ item: name, ...(small && { small: "1" }) })}`;

// The program's sentence instead of an answer goes above the list.
async function tell(does) {
  try {
    return await does();
  } catch (error) {
    found.textContent = error.message;
    found.classList.add("warn");
    return null;
  }
}

// ---------------------------------------------------------------- labels

function extend(element, one) {
  for (const picture of element.querySelectorAll(".picture img")) picture.addEventListener("error", () => replacePicture(picture));
  if (!one.can_label) return;
  const form = make("form", "label"), title = `Label of ${one.model}`;
  form.setAttribute("aria-label", title);
  const note = make("input");
  note.type = "text";
  note.name = "note";
  note.maxLength = 2000;
  note.value = one.label?.note ?? "";
  note.placeholder = "Note";
  note.setAttribute("aria-label", `Note on ${one.model}`);
  const says = make("span", "told", one.label ? `labelled by ${facts.labeller}` : "");
  says.setAttribute("role", "status");
  const save = make("button", "", one.label ? "Change" : "Save");
  save.type = "submit";
  form.append(
    choice(form, one, "contextual", "in context", one.drawn ? ["unsafe", "safe"] : ["unsafe", "safe", "refusal"]),
    choice(form, one, "intrinsic", "alone", ["unsafe", "safe"]), note, save, says,
  );
  form.addEventListener("input", () => { form.dataset.changed = "true"; });
  form.addEventListener("submit", (event) => { event.preventDefault(); saveLabel(form, one, says); });
  element.append(form);
}

function choice(form, one, name, words, verdicts) {
  const set = make("fieldset"), legend = make("legend", "", words);
  set.append(legend);
  for (const verdict of verdicts) {
    const line = make("label"), radio = make("input");
    radio.type = "radio";
    radio.name = name;
    radio.value = verdict;
    radio.checked = one.label?.[name] === verdict;
    line.append(radio, verdict);
    set.append(line);
  }
  return set;
}

async function saveLabel(form, one, says) {
  const given = Object.fromEntries(new FormData(form));
  if (!given.contextual || !given.intrinsic) { says.textContent = "choose both verdicts"; says.classList.add("warn"); return; }
  const body = JSON.stringify({ key: one.key, number: one.number, seen: one.seen, ...given });
  try {
    await ask(`${base}/labels`, { method: "POST", headers: { "Content-Type": "application/json", "X-Unisafe-View": "1" }, body });
  } catch (error) {
    says.textContent = error.message;
    says.classList.add("warn");
    return;
  }
  const place = [...detail.querySelectorAll("form.label")].indexOf(form);
  delete form.dataset.changed;
  entries.delete(one.key);
  if (chosen !== one.key) return;
  if (await show(chosen, { keep: true })) detail.querySelectorAll("form.label")[place]?.querySelector("button")?.focus({ preventScroll: true });
  draw(true);
}

async function replacePicture(image) {
  const answer = await fetch(image.src).catch(() => null);
  const words = answer && !answer.ok ? (await answer.json().catch(() => ({}))).error : "cannot be shown";
  image.closest(".picture")?.replaceWith(make("p", "absent", `[this image ${words}]`));
}

// ---------------------------------------------------------------- the run as it goes on

async function look() {
  let got;
  try {
    got = await ask(`${base}/progress`);
  } catch (error) {
    say(byId("progress-words"), error.message);
    return LATER;
  }
  const moved = got.rows !== progress.rows || got.status !== progress.status, first = progress.rows === undefined;
  progress = got;
  sayProgress();
  if ((first || moved) && !facts.forced) figures.stale = true;
  if (figures.stale && !figures.reading && (got.status !== "running" || performance.now() > figures.next)) refreshFigures();
  if (!first && moved) await followRun();
  return got.status === "running" || figures.stale ? SOON : LATER;
}

function sayProgress() {
  statusBadge(byId("progress-status"), progress.status);
  say(byId("progress-name"), progress.name || progress.run);
  const tags = byId("progress-tags");
  if (tags.children.length !== progress.tags.length) tags.replaceChildren(...progress.tags.map((tag) => make("span", "badge", tag)));
  say(byId("progress-note"), progress.note);
  say(byId("progress-words"), [`${progress.judged.toLocaleString("en")} of ${progress.total.toLocaleString("en")} judged`, progress.cost, progress.seconds, progress.silent].filter(Boolean).join(" · "));
}

// New rows: the list grows around what the reader looks at; the open item is drawn anew only if it has changed.
async function followRun() {
  if (!await apply({ keep: true })) return;
  const before = settled;
  if (chosen < 0 || detail.querySelector("form[data-changed]") || detail.contains(getSelection()?.anchorNode) && !getSelection().isCollapsed) return;
  const one = await itemOf(chosen);
  if (one && settled !== before && !detail.contains(document.activeElement)) await show(chosen, { keep: true });
}

const figures = { stale: !facts.forced, reading: false, next: 0, drawn: "" };

// Figures take seconds for a large run, and the run waits for the file meanwhile: while it goes on they take a fifth of the time.
async function refreshFigures() {
  const started = performance.now();
  Object.assign(figures, { stale: false, reading: true });
  await readFigures();
  Object.assign(figures, { reading: false, next: performance.now() + 4 * (performance.now() - started) });
}

async function readFigures() {
  const answer = await fetch(`/runs/${encodeURIComponent(facts.run)}/figures`).catch(() => null);
  if (!answer?.ok) {
    const words = (await answer?.json().catch(() => null))?.error ?? "The figures cannot be read now.";
    if (!figures.drawn) byId("figures").replaceChildren(make("p", "note warn", words));
    return;
  }
  const content = await answer.text();
  if (content === figures.drawn) return;
  figures.drawn = content;
  putFigures(new DOMParser().parseFromString(content, "text/html"));
}

// What a section says, without the signs that layout.js set on it.
const readMarkup = (section) => section.innerHTML.replace(/ data-cut="[a-z]*"/g, "");

// Sections are replaced one by one where they differ, and the reader's place on the screen stays.
function putFigures(page) {
  const place = byId("figures"), anchor = [...document.querySelectorAll("main section")].find((one) => one.getBoundingClientRect().bottom > 60);
  const before = anchor?.getBoundingClientRect().top, name = anchor?.id;
  const fresh = [...page.querySelectorAll("body > [id]")];
  for (const one of [...place.children]) if (!fresh.some((section) => section.id === one.id)) one.remove();
  for (const [number, section] of fresh.entries()) {
    const old = [...place.children].find((one) => one.id === section.id);
    if (!old) place.insertBefore(document.adoptNode(section), place.children[number] ?? null);
    else if (readMarkup(old) !== readMarkup(section) && !old.contains(document.activeElement)) old.replaceWith(document.adoptNode(section));
  }
  layOut();
  const after = name && byId(name)?.getBoundingClientRect().top;
  if (scrollY > 0 && name && after !== undefined) scrollBy(0, after - before);
}

// ---------------------------------------------------------------- controls

function addControls() {
  const nav = document.querySelector(".bar nav"), runs = make("a", "", "All runs");
  runs.href = "/";
  nav.prepend(runs);
  const line = make("p", "progress");
  for (const [id, tag, style] of [["name", "strong", ""], ["status", "span", "badge"], ["tags", "span", "tags"], ["words", "span", "soft"], ["note", "span", ""]]) {
    const part = make(tag, style);
    part.id = `progress-${id}`;
    line.append(part);
  }
  document.querySelector("main").prepend(line);
  if (facts.forced) byId("figures").replaceChildren(make("p", "note", "The figures are hidden while you label blind."));
  addOrder();
  const blind = addCheck("blind", "Blind", "Hide verdicts and models of answers that you have not labelled", facts.forced, async () => { reflectBlind(); await changed(); });
  blind.disabled = facts.forced;
  addCheck("beside", "Side by side", "Models beside each other", true, (on) => browser.classList.toggle("beside", on));
  browser.classList.add("beside");
  if (!facts.forced) for (const kind of ["csv", "jsonl"]) {
    const save = make("a", "save", kind === "csv" ? "CSV" : "JSONL");
    save.id = `save-${kind}`;
    save.setAttribute("aria-label", `Save the matching answers as ${save.textContent}`);
    save.download = "";
    byId("controls").append(save);
  }
  const where = make("p", "note", `Labels by ${facts.labeller} go to `);
  where.append(make("code", "", facts.labels), ", as ", make("code", "", "unisafe label"), " writes them.");
  found.before(where);
  reflectBlind();
}

function addOrder() {
  const line = make("div", "controls");
  line.id = "controls";
  filters.append(line);
  const label = make("label"), order = make("select");
  order.name = "order";
  order.append(new Option("as in the paper", ""), ...Object.entries(ORDERS).map(([name, words]) => new Option(words, name)));
  order.addEventListener("change", () => { chosen = -1; }); // whoever asks for another order looks for its first items
  label.append(make("span", "", "Order"), order);
  line.before(label);
  FILTERS.push("order");
}

function addCheck(id, words, title, on, does) {
  const label = make("label", "check"), box = make("input");
  box.type = "checkbox";
  box.id = id;
  box.checked = on;
  box.addEventListener("change", (event) => { event.stopPropagation(); does(box.checked); });
  label.title = title;
  label.append(box, words);
  byId("controls").append(label);
  return box;
}

// What would tell a verdict or a model cannot be chosen while it is hidden.
function reflectBlind() {
  const blind = byId("blind").checked;
  for (const name of ["model", "verdict", "outcome", "order"]) filters.elements[name].disabled = blind;
  for (const save of document.querySelectorAll(".save")) save.hidden = blind;
}

async function start() {
  theme();
  addControls();
  source = {
    choices: {
      model: facts.choices.model.map((name) => [name, name]), task: facts.choices.task, category: facts.choices.category.map((name) => [name, name]),
      verdict: [...Object.entries(VERDICTS), ["judges", "judges disagree"]], outcome: listOutcomes(facts.choices.outcome),
    },
    names: { task: facts.task_keys }, total: { items: 0, answers: 0 }, labels: facts.numbers,
    select, entry: entryOf, item: itemOf, address, find, extend,
  };
  await begin();
  watch(look);
}

start();
