// The gallery: every item of the run, a list that holds only what is in view, filters, search, links and keys.
// What models wrote reaches the page through text nodes alone.
"use strict";

const HEIGHT = 84; // pixels of one entry in the list, as in page.css
const SPARE = 6; // entries kept above and below what is in view
const OUTCOMES = {
  answered: "answered", refused: "refused", empty: "empty", failed: "failed", blocked: "blocked",
  blocked_request: "request blocked", blocked_response: "response blocked",
};
const VERDICTS = {
  unsafe: "not safe (by either)", contextual: "contextual unsafe", intrinsic: "intrinsic unsafe", refusal: "refusal",
  safe: "safe by both", unjudged: "unjudged", split: "models disagree",
};
const FILTERS = ["q", "model", "task", "category", "verdict", "outcome"];

const byId = (id) => document.getElementById(id);
const list = byId("list"), spacer = byId("spacer"), detail = byId("detail"), browser = byId("browser");
const filters = byId("filters"), search = byId("search"), found = byId("found"), help = byId("help");

let data, strings, pictures; // columns, texts, where images are
let numbers, wordOf; // the number of each label by its word, and the word by its number
let rowsOf; // first row of each item; one more at the end
let folded; // texts in lower case, made at the first search
let shown = []; // numbers of the items that match
let matching; // rows that match, when any filter is set
let chosen = -1; // the item that is open
let cursor = -1; // its place in `shown`
const revealed = new Set(); // digests of images that were clicked

// ---------------------------------------------------------------- reading

async function unpack(id) {
  const text = byId(id).textContent;
  byId(id).remove();
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(text) : Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function start() {
  theme();
  pictures = JSON.parse(byId("data-images").textContent);
  try {
    [data, strings] = await Promise.all([unpack("data-index"), unpack("data-strings")]);
  } catch (error) {
    found.textContent = "The items on this page cannot be read: the file is damaged, or the browser is too old to unpack it.";
    return;
  }
  numbers = data.labels;
  wordOf = Object.fromEntries(Object.entries(numbers).map(([word, number]) => [number, word]));
  const count = data.items.name.length;
  rowsOf = new Uint32Array(count + 1);
  for (const item of data.rows.item) rowsOf[item + 1] += 1;
  for (let item = 0; item < count; item += 1) rowsOf[item + 1] += rowsOf[item];
  fillFilters();
  listen();
  restore();
  document.documentElement.dataset.ready = "true";
}

function fillFilters() {
  const choices = {
    model: data.models.map((name) => [name, name]),
    task: data.tasks.map((name) => [name, name]),
    category: data.categories.map((name) => [name, name]),
    verdict: Object.entries(VERDICTS),
    outcome: [
      ...(data.outcomes.some(isBlock) ? [["blocked", "blocked (any)"]] : []),
      ...data.outcomes.filter((name) => name !== "blocked").map((name) => [name, OUTCOMES[name] ?? name]),
    ],
  };
  for (const [name, options] of Object.entries(choices)) {
    const select = filters.elements[name];
    select.append(new Option("all", ""), ...options.map(([value, words]) => new Option(words, value)));
  }
}

const isBlock = (outcome) => outcome.startsWith("blocked");

// ---------------------------------------------------------------- filters

function matches(row, wanted) {
  const { rows, items } = data;
  const item = rows.item[row], contextual = rows.contextual[row], intrinsic = rows.intrinsic[row];
  if (wanted.model >= 0 && rows.model[row] !== wanted.model) return false;
  if (wanted.task >= 0 && items.task[item] !== wanted.task) return false;
  if (wanted.category >= 0 && items.category[item] !== wanted.category) return false;
  if (wanted.outcomes && !wanted.outcomes.has(rows.outcome[row])) return false;
  switch (wanted.verdict) {
    case "unsafe": if (!isUnsafe(contextual, intrinsic)) return false; break;
    case "contextual": if (contextual !== numbers.unsafe) return false; break;
    case "intrinsic": if (intrinsic !== numbers.unsafe) return false; break;
    case "refusal": if (contextual !== numbers.refusal) return false; break;
    case "safe": if (!isSafe(contextual, intrinsic)) return false; break;
    case "unjudged": if (contextual !== numbers.unjudged && intrinsic !== numbers.unjudged) return false; break;
    case "split": if (!disagree(item)) return false; break;
  }
  return !wanted.words || wanted.hits.has(row);
}

// The numbers of the outcomes that a choice means: one, or for `blocked` every kind of block; null for all.
function findOutcomes(name) {
  if (!name) return null;
  const meant = (one) => (name === "blocked" ? isBlock(one) : one === name);
  return new Set(data.outcomes.flatMap((one, place) => (meant(one) ? [place] : [])));
}

function isUnsafe(contextual, intrinsic) {
  return contextual === numbers.unsafe || intrinsic === numbers.unsafe;
}

// A refusal counts as safe in context.
function isSafe(contextual, intrinsic) {
  return (contextual === numbers.safe || contextual === numbers.refusal) && intrinsic === numbers.safe;
}

function disagree(item) {
  let safe = false, unsafe = false;
  for (let row = rowsOf[item]; row < rowsOf[item + 1]; row += 1) {
    const contextual = data.rows.contextual[row], intrinsic = data.rows.intrinsic[row];
    if (isUnsafe(contextual, intrinsic)) unsafe = true;
    else if (isSafe(contextual, intrinsic)) safe = true;
  }
  return safe && unsafe;
}

function searchRows(words) {
  folded ??= strings.map((text) => text.toLowerCase());
  const holds = new Uint8Array(folded.length);
  for (let place = 1; place < folded.length; place += 1) holds[place] = folded[place].includes(words) ? 1 : 0;
  const { rows, items } = data, hits = new Set();
  for (let row = 0; row < rows.item.length; row += 1) {
    const item = rows.item[row];
    if (holds[rows.text[row]] || holds[rows.thoughts[row]] || holds[rows.contextual_reason[row]] || holds[rows.intrinsic_reason[row]] || holds[rows.note[row]]
      || holds[items.prompt[item]] || items.name[item].toLowerCase().includes(words)) hits.add(row);
  }
  return hits;
}

function apply() {
  const value = (name) => filters.elements[name].value;
  const words = search.value.trim().toLowerCase();
  const wanted = {
    model: data.models.indexOf(value("model")), task: data.tasks.indexOf(value("task")),
    category: data.categories.indexOf(value("category")), outcomes: findOutcomes(value("outcome")),
    verdict: value("verdict"), words, hits: words ? searchRows(words) : null,
  };
  const any = FILTERS.some((name) => value(name).trim());
  matching = any ? new Set() : null;
  shown = [];
  for (let item = 0; item < data.items.name.length; item += 1) {
    let hit = !any;
    for (let row = rowsOf[item]; any && row < rowsOf[item + 1]; row += 1) {
      if (matches(row, wanted)) { hit = true; matching.add(row); }
    }
    if (hit) shown.push(item);
  }
  cursor = shown.indexOf(chosen);
  const total = data.items.name.length.toLocaleString("en");
  const answers = any ? `, ${plural(matching.size, "answer")}` : `, ${plural(data.rows.item.length, "answer")}`;
  found.classList.remove("warn");
  found.textContent = `${any ? `${shown.length.toLocaleString("en")} of ` : ""}${total} items${answers}`;
  list.scrollTop = 0;
  draw(true);
  if (cursor >= 0) reach(cursor);
}

const plural = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

// ---------------------------------------------------------------- the list

function draw(fresh = false) {
  spacer.style.height = `${Math.max(shown.length * HEIGHT, 1)}px`;
  const first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - SPARE);
  const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / HEIGHT) + SPARE);
  if (!fresh && draw.first === first && draw.last === last) return;
  [draw.first, draw.last] = [first, last];
  const entries = [];
  for (let place = first; place < last; place += 1) entries.push(entry(place));
  if (!shown.length) entries.push(make("p", "empty", "Nothing matches."));
  spacer.replaceChildren(...entries);
  const active = cursor >= first && cursor < last ? `entry-${cursor}` : "";
  if (active) list.setAttribute("aria-activedescendant", active);
  else list.removeAttribute("aria-activedescendant");
}

function entry(place) {
  const item = shown[place], { items, rows } = data;
  const element = make("div", "entry");
  element.id = `entry-${place}`;
  element.setAttribute("role", "option");
  element.setAttribute("aria-selected", String(place === cursor));
  element.setAttribute("aria-posinset", place + 1);
  element.setAttribute("aria-setsize", shown.length);
  element.style.top = `${place * HEIGHT}px`;
  const marks = make("span", "marks");
  let picture = items.image[item];
  for (let row = rowsOf[item]; row < rowsOf[item + 1]; row += 1) {
    const mark = make("span", `mark-dot ${verdict(row)}${matching && !matching.has(row) ? " dim" : ""}`);
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", `${data.models[rows.model[row]]}: ${verdict(row)}`);
    mark.title = mark.getAttribute("aria-label");
    marks.append(mark);
    if (!picture && rows.images[row] && (!matching || matching.has(row))) picture = rows.images[row][0];
  }
  element.append(make("span", "name", items.name[item]), marks, make("span", "words", strings[items.prompt[item]].slice(0, 200) || "(request not stored)"));
  const source = picture && address(picture);
  if (source) {
    const image = make("img", `thumb${revealed.has(picture) ? "" : " blurred"}`);
    image.src = source;
    image.alt = "";
    element.append(image);
  }
  element.addEventListener("click", () => open(place));
  return element;
}

// Unsafe by either verdict is unsafe; refusal and safe need both.
function verdict(row) {
  const contextual = data.rows.contextual[row], intrinsic = data.rows.intrinsic[row];
  if (isUnsafe(contextual, intrinsic)) return wordOf[numbers.unsafe];
  if (contextual === numbers.unjudged || intrinsic === numbers.unjudged) return wordOf[numbers.unjudged];
  return wordOf[contextual];
}

function reach(place) {
  const top = place * HEIGHT;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + HEIGHT - list.clientHeight;
}

// ---------------------------------------------------------------- one item

function open(place, { read = true, remember = true } = {}) {
  cursor = place;
  chosen = shown[place];
  show(chosen);
  reach(place);
  draw(true);
  if (read) { browser.classList.add("reading"); if (narrow()) detail.focus({ preventScroll: true }); }
  if (remember) keepAddress();
}

const narrow = () => matchMedia("(max-width: 760px)").matches;

function show(item) {
  const { items, rows } = data;
  const head = make("header"), back = button("back", "Back", close), copy = button("copy", "Copy link", () => copyLink(copy));
  head.append(back, make("h3", "", items.name[item]), copy);
  copy.className = "quiet";
  const meta = `${data.tasks[items.task[item]]} · ${data.categories[items.category[item]]}: ${data.subcategories[items.subcategory[item]]}`;
  const request = make("div", "request");
  request.append(text(strings[items.prompt[item]] || "(request not stored)"));
  if (items.image[item]) request.prepend(picture(items.image[item], "the request's image"));
  const answers = [];
  for (let row = rowsOf[item]; row < rowsOf[item + 1]; row += 1) answers.push(answer(row));
  if (matching) answers.sort((one, other) => one.classList.contains("other") - other.classList.contains("other"));
  detail.replaceChildren(head, make("p", "meta", meta), request, ...answers);
  detail.setAttribute("aria-label", `Item ${items.name[item]}`);
  detail.scrollTop = 0;
  function button(id, words, does) {
    const made = make("button", "", words);
    made.type = "button";
    made.id = id;
    made.addEventListener("click", does);
    return made;
  }
}

function answer(row) {
  const { rows } = data;
  const element = make("section", `answer${matching && !matching.has(row) ? " other" : ""}`);
  const model = data.models[rows.model[row]], outcome = data.outcomes[rows.outcome[row]];
  const title = make("h4", "", rows.sample[row] ? `${model}, repeat ${rows.sample[row]}` : model);
  title.append(make("span", `badge ${verdict(row)}`, verdict(row)));
  if (outcome !== "answered") title.append(make("span", "badge", OUTCOMES[outcome] ?? outcome));
  element.append(title);
  if (rows.told[row]) element.append(make("p", "told", strings[rows.told[row]]));
  if (rows.thoughts[row]) element.append(thoughts(strings[rows.thoughts[row]]));
  if (rows.text[row]) element.append(text(strings[rows.text[row]]));
  for (const digest of rows.images[row] || []) element.append(picture(digest, `an image by ${model}`));
  if (!rows.text[row] && !rows.images[row]) element.append(make("p", "absent", "nothing came out"));
  if (rows.note[row]) element.append(text(strings[rows.note[row]], "text told"));
  const reasons = make("dl", "reasons");
  for (const [title, labels, reason] of [
    ["contextual", ["contextual"], "contextual_reason"], ["intrinsic", ["intrinsic"], "intrinsic_reason"],
    ["words beside the image", ["beside_contextual", "beside_intrinsic"], "beside_reason"],
    ["thoughts", ["thoughts_verdict"], "thoughts_reason"],
  ]) {
    if (rows[labels[0]][row] === numbers.not_asked) continue;
    const line = make("div"), says = make("dd");
    for (const name of labels) {
      const label = wordOf[rows[name][row]];
      says.append(make("span", `badge ${label}`, labels.length > 1 ? `${name.replace("beside_", "")}: ${label}` : label));
    }
    says.append(text(strings[rows[reason][row]]));
    line.append(make("dt", "", title), says);
    reasons.append(line);
  }
  if (rows.opinions[row]) {
    const line = make("div"), says = make("dd");
    says.append(text(strings[rows.opinions[row]]));
    line.append(make("dt", "", "each judge"), says);
    reasons.append(line);
  }
  element.append(reasons);
  return element;
}

// What a model thought before it answered: there to be opened, and no part of the answer.
function thoughts(words) {
  const element = make("details", "thoughts");
  element.append(make("summary", "told", `Thoughts, no part of the answer (${plural(words.length, "character")})`), text(words, "text told"));
  return element;
}

function picture(digest, what) {
  const source = address(digest);
  if (!source) return make("p", "absent", `[${what}, ${digest}: not on this page]`);
  const element = make("button", "picture"), image = make("img");
  element.type = "button";
  element.dataset.digest = digest;
  image.src = source;
  image.alt = "";
  element.append(image, make("span", "hint", "click to show"));
  const reflect = () => {
    const clear = revealed.has(digest);
    image.classList.toggle("blurred", !clear);
    element.setAttribute("aria-pressed", String(clear));
    element.setAttribute("aria-label", `Show ${what}`);
  };
  element.addEventListener("click", () => {
    if (revealed.has(digest)) revealed.delete(digest); else revealed.add(digest);
    reflect();
    draw(true);
  });
  reflect();
  return element;
}

function address(digest) {
  if (Object.hasOwn(pictures.data, digest)) return `data:image/webp;base64,${pictures.data[digest]}`;
  if (Object.hasOwn(pictures.names, digest)) return `${pictures.base}/${pictures.names[digest]}`;
  return null;
}

function make(tag, name = "", words = "") {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (words) element.textContent = words;
  return element;
}

function text(words, name = "text") {
  const element = make("div", name, words);
  element.dir = "auto";
  return element;
}

async function copyLink(button) {
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch (error) {
    button.textContent = "The link is in the address bar";
  }
}

function close() {
  browser.classList.remove("reading");
  list.focus({ preventScroll: true });
}

// ---------------------------------------------------------------- links

function keepAddress() {
  const state = new URLSearchParams();
  for (const name of FILTERS) if (filters.elements[name].value.trim()) state.set(name, filters.elements[name].value);
  if (chosen >= 0) state.set("item", data.items.name[chosen]);
  history.replaceState(null, "", `#${state.size ? state : "gallery"}`);
}

// What an address such as #item=T/1 or #model=M&task=unsafe_t2i_generation&verdict=unsafe names; other addresses are sections.
function restore() {
  const address = readAddress(location.hash, filters, FILTERS, { task: data.task_keys });
  for (const name of FILTERS) filters.elements[name].value = address.set[name] ?? "";
  const wanted = address.item;
  const named = wanted === null ? -1 : data.items.name.indexOf(wanted);
  const unknown = [...address.unknown, ...(wanted !== null && named < 0 ? [`This run has no item ${wanted}.`] : [])];
  chosen = named;
  apply();
  if (named >= 0 && cursor < 0) { filters.reset(); apply(); }
  if (named >= 0) open(cursor, { remember: false });
  else if (shown.length) open(0, { read: false, remember: false });
  if (unknown.length) found.textContent = [...unknown, found.textContent].join(" ");
  found.classList.toggle("warn", unknown.length > 0);
  if (address.ours) (unknown.length ? found : browser).scrollIntoView();
}

// ---------------------------------------------------------------- listening

function changed() {
  apply();
  if (cursor < 0 && shown.length) open(0, { read: false, remember: false });
  keepAddress();
}

function step(by) {
  if (shown.length) open(Math.min(shown.length - 1, Math.max(0, cursor + by)), { read: browser.classList.contains("reading") });
}

function listen() {
  let waiting;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(changed, 120); });
  filters.addEventListener("change", (event) => { if (event.target !== search) changed(); });
  filters.addEventListener("submit", (event) => { event.preventDefault(); changed(); });
  filters.addEventListener("reset", () => setTimeout(changed)); // the fields are emptied after this event
  list.addEventListener("scroll", () => draw());
  new ResizeObserver(() => draw()).observe(list);
  addEventListener("hashchange", restore);
  byId("help-open").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", key);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const typing = event.target.matches("input, select, textarea");
  if (event.key === "Escape") {
    if (event.target === search && search.value) { search.value = ""; changed(); }
    else if (typing) event.target.blur();
    else close();
    event.preventDefault();
    return;
  }
  if (event.target === search && event.key === "Enter") { list.focus(); event.preventDefault(); return; }
  if (typing) return;
  const inList = event.target === list;
  const does = {
    "/": () => { search.focus(); search.select(); },
    "?": () => help.showModal(),
    j: () => step(1), k: () => step(-1),
    b: reveal,
    ...(inList && {
      ArrowDown: () => step(1), ArrowUp: () => step(-1), PageDown: () => step(8), PageUp: () => step(-8),
      Home: () => step(-shown.length), End: () => step(shown.length),
      Enter: () => { if (cursor >= 0) { open(cursor); detail.focus({ preventScroll: true }); } },
    }),
  }[event.key];
  if (does) { does(); event.preventDefault(); }
}

// Show every image of the open item, or blur them again when all are shown.
function reveal() {
  const all = [...detail.querySelectorAll(".picture")];
  const clear = all.every((one) => revealed.has(one.dataset.digest));
  for (const one of all) if (revealed.has(one.dataset.digest) === clear) one.click();
}

function theme() {
  const button = byId("theme"), root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const reflect = () => { button.textContent = isDark() ? "Light" : "Dark"; button.setAttribute("aria-label", `${button.textContent} theme`); };
  try { root.dataset.theme = localStorage.getItem("unisafe-theme") ?? ""; } catch (error) { /* files may have no storage */ }
  if (!root.dataset.theme) delete root.dataset.theme;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try { localStorage.setItem("unisafe-theme", root.dataset.theme); } catch (error) { /* as above */ }
    reflect();
  });
  dark.addEventListener("change", reflect);
  reflect();
}

start();
