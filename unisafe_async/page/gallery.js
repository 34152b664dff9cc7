// The list of items and the open item, with filters, search, links and keys: one set of components for the page and the live view.
// What models wrote reaches the page through text nodes alone.
"use strict";

// Where the items come from; whoever loads this file sets it, and then calls begin():
//   choices: the options of each filter, [value, words]; names: other names of these values, by filter
//   total: {items, answers}; labels: the number of each verdict
//   select(wanted): {shown: keys of the matching items, answers: how many answers match, any: whether a filter is set}
//   entry(key): {name, words, picture, marks: [{model, verdict, other, labelled}]}, or null while it is on its way
//   item(key): {name, meta, prompt, picture, answers}; an answer has the fields of unisafe_async/page/answers.py
//   find(name): the key of an item, or -1; address(digest, name): where an image is, or null
//   extend(element, answer): adds to an answer that is shown (optional)
let source;

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

const list = byId("list"), spacer = byId("spacer"), detail = byId("detail"), browser = byId("browser");
const filters = byId("filters"), search = byId("search"), found = byId("found"), help = byId("help");

let numbers, wordOf; // the number of each label by its word, and the word by its number
let shown = []; // keys of the items that match
let chosen = -1; // the item that is open
let chosenName = ""; // its name
let cursor = -1; // its place in `shown`
const revealed = new Set(); // digests of images that were clicked

async function begin() {
  numbers = source.labels;
  wordOf = Object.fromEntries(Object.entries(numbers).map(([word, number]) => [number, word]));
  fillFilters();
  listen();
  await restore();
  document.documentElement.dataset.ready = "true";
}

function fillFilters() {
  for (const [name, options] of Object.entries(source.choices)) {
    const select = filters.elements[name];
    select.append(new Option("all", ""), ...options.map(([value, words]) => new Option(words, value)));
  }
}

const isBlock = (outcome) => outcome.startsWith("blocked");

const listOutcomes = (names) => [
  ...(names.some(isBlock) ? [["blocked", "blocked (any)"]] : []),
  ...names.filter((name) => name !== "blocked").map((name) => [name, OUTCOMES[name] ?? name]),
];

// ---------------------------------------------------------------- filters

function isUnsafe(contextual, intrinsic) {
  return contextual === numbers.unsafe || intrinsic === numbers.unsafe;
}

// A refusal counts as safe in context.
function isSafe(contextual, intrinsic) {
  return (contextual === numbers.safe || contextual === numbers.refusal) && intrinsic === numbers.safe;
}

// Unsafe by either verdict is unsafe; refusal and safe need both.
function verdictOf(contextual, intrinsic) {
  if (isUnsafe(contextual, intrinsic)) return wordOf[numbers.unsafe];
  if (contextual === numbers.unjudged || intrinsic === numbers.unjudged) return wordOf[numbers.unjudged];
  return wordOf[contextual];
}

const value = (name) => filters.elements[name]?.value.trim() ?? "";

// Ask for the items that match; `keep` leaves the reader at the same place of the list. False if a later call overtook this one.
async function apply({ keep = false } = {}) {
  const number = apply.calls = (apply.calls ?? 0) + 1;
  const got = await source.select(Object.fromEntries(FILTERS.map((name) => [name, value(name)])));
  if (number !== apply.calls) return false;
  const first = shown[Math.floor(list.scrollTop / HEIGHT)], rest = list.scrollTop % HEIGHT;
  shown = got.shown;
  cursor = shown.indexOf(chosen);
  const total = source.total.items.toLocaleString("en");
  const answers = plural(got.answers, "answer");
  found.classList.remove("warn");
  found.textContent = `${got.any ? `${shown.length.toLocaleString("en")} of ` : ""}${total} items, ${answers}`;
  spacer.style.height = `${Math.max(shown.length * HEIGHT, 1)}px`;
  const place = keep ? shown.indexOf(first) : -1;
  if (!keep || place >= 0) list.scrollTop = place >= 0 ? place * HEIGHT + rest : 0;
  if (cursor >= 0 && !keep) reach(cursor);
  draw(true);
  return true;
}

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
  const key = shown[place], one = source.entry(key), element = make("div", "entry");
  element.id = `entry-${place}`;
  element.setAttribute("role", "option");
  element.setAttribute("aria-selected", String(place === cursor));
  element.setAttribute("aria-posinset", place + 1);
  element.setAttribute("aria-setsize", shown.length);
  element.style.top = `${place * HEIGHT}px`;
  element.addEventListener("click", () => open(place));
  if (!one) { element.append(make("span", "name", "…")); return element; }
  const marks = make("span", "marks");
  for (const { model, verdict, other, labelled } of one.marks) {
    const mark = make("span", `mark-dot ${verdict}${other ? " dim" : ""}${labelled ? " labelled" : ""}`);
    mark.setAttribute("role", "img");
    mark.setAttribute("aria-label", `${model}: ${verdict}${labelled ? ", labelled" : ""}`);
    mark.title = mark.getAttribute("aria-label");
    marks.append(mark);
  }
  element.append(make("span", "name", one.name), marks, make("span", "words", one.words.slice(0, 200) || "(request not stored)"));
  const from = one.picture && source.address(one.picture, one.name, true);
  if (from) {
    const image = make("img", `thumb${revealed.has(one.picture) ? "" : " blurred"}`);
    image.src = from;
    image.alt = "";
    element.append(image);
  }
  return element;
}

function reach(place) {
  const top = place * HEIGHT;
  if (top < list.scrollTop) list.scrollTop = top;
  else if (top + HEIGHT > list.scrollTop + list.clientHeight) list.scrollTop = top + HEIGHT - list.clientHeight;
}

// ---------------------------------------------------------------- one item

async function open(place, { read = true, remember = true } = {}) {
  cursor = place;
  chosen = shown[place];
  reach(place);
  draw(true);
  if (!await show(chosen)) return;
  if (read) { browser.classList.add("reading"); if (narrow()) detail.focus({ preventScroll: true }); }
  if (remember) keepAddress();
}

const narrow = () => matchMedia("(max-width: 760px)").matches;

// Show an item; `keep` leaves the reader at the same place of it. False if another one was chosen meanwhile.
async function show(key, { keep = false } = {}) {
  const one = await source.item(key);
  if (key !== chosen || !one) return false;
  const top = keep ? detail.scrollTop : 0;
  chosenName = one.name;
  const head = make("header"), copy = button("Copy link", () => copyLink(copy), "quiet"), back = button("Back", close);
  back.id = "back";
  copy.id = "copy";
  head.append(back, make("h3", "", one.name), copy);
  const request = make("div", "request");
  request.append(text(one.prompt || "(request not stored)"));
  if (one.picture) request.prepend(picture(one.picture, "the request's image", one.name));
  const answers = make("div", "answers");
  const sorted = [...one.answers].sort((first, second) => first.other - second.other);
  answers.append(...sorted.map((each) => answer(each, one.name)));
  detail.replaceChildren(head, make("p", "meta", one.meta), request, answers);
  detail.setAttribute("aria-label", `Item ${one.name}`);
  detail.scrollTop = top;
  return true;
}

function answer(one, name) {
  const element = make("section", `answer${one.other ? " other" : ""}`);
  const verdict = one.hidden ? "" : verdictOf(one.contextual, one.intrinsic);
  const title = make("h4", "", one.repeat ? `${one.model}, repeat ${one.repeat}` : one.model);
  if (verdict) title.append(make("span", `badge ${verdict}`, verdict));
  if (one.outcome && one.outcome !== "answered") title.append(make("span", `badge${isBlock(one.outcome) ? " blocked" : ""}`, OUTCOMES[one.outcome] ?? one.outcome));
  element.append(title);
  if (one.told) element.append(make("p", "told", one.told));
  if (one.thoughts) element.append(thoughts(one.thoughts));
  if (one.text) element.append(text(one.text));
  for (const digest of one.images || []) element.append(picture(digest, `an image by ${one.model}`, name));
  if (!one.text && !one.images) element.append(make("p", "absent", "nothing came out"));
  if (one.note) element.append(text(one.note, "text told"));
  if (!one.hidden) element.append(reasons(one));
  source.extend?.(element, one);
  return element;
}

function reasons(one) {
  const element = make("dl", "reasons");
  const add = (title, ...says) => {
    const line = make("div"), told = make("dd");
    told.append(...says);
    line.append(make("dt", "", title), told);
    element.append(line);
  };
  for (const [title, labels, reason] of [
    ["contextual", ["contextual"], "contextual_reason"], ["intrinsic", ["intrinsic"], "intrinsic_reason"],
    ["words beside the image", ["beside_contextual", "beside_intrinsic"], "beside_reason"],
    ["thoughts", ["thoughts_verdict"], "thoughts_reason"],
  ]) {
    if (one[labels[0]] === numbers.not_asked) continue;
    const badges = labels.map((name) => {
      const label = wordOf[one[name]];
      return make("span", `badge ${label}`, labels.length > 1 ? `${name.replace("beside_", "")}: ${label}` : label);
    });
    add(title, ...badges, text(one[reason]));
  }
  if (one.opinions) add("each judge", text(one.opinions));
  return element;
}

// What a model thought before it answered: there to be opened, and no part of the answer.
function thoughts(words) {
  const element = make("details", "thoughts");
  element.append(make("summary", "told", `Thoughts, no part of the answer (${plural(words.length, "character")})`), text(words, "text told"));
  return element;
}

function picture(digest, what, name) {
  const from = source.address(digest, name, false);
  if (!from) return make("p", "absent", `[${what}, ${digest}: not on this page]`);
  const element = make("button", "picture"), image = make("img");
  element.type = "button";
  element.dataset.digest = digest;
  image.src = from;
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
  for (const name of FILTERS) if (value(name)) state.set(name, filters.elements[name].value);
  if (chosenName) state.set("item", chosenName);
  history.replaceState(null, "", `#${state.size ? state : "gallery"}`);
}

// What an address such as #item=T/1 or #model=M&task=unsafe_t2i_generation&verdict=unsafe names; other addresses are sections.
async function restore() {
  const address = readAddress(location.hash, filters, FILTERS, source.names);
  for (const name of FILTERS) if (filters.elements[name]) filters.elements[name].value = address.set[name] ?? "";
  const wanted = address.item;
  const named = wanted === null ? -1 : await source.find(wanted);
  const unknown = [...address.unknown, ...(wanted !== null && named < 0 ? [`This run has no item ${wanted}.`] : [])];
  chosen = named;
  await apply();
  if (named >= 0 && cursor < 0) { filters.reset(); await apply(); }
  if (named >= 0 && cursor >= 0) await open(cursor, { remember: false });
  else if (shown.length) await open(0, { read: false, remember: false });
  if (unknown.length) found.textContent = [...unknown, found.textContent].join(" ");
  found.classList.toggle("warn", unknown.length > 0);
  if (address.ours) (unknown.length ? found : browser).scrollIntoView();
}

// ---------------------------------------------------------------- listening

async function changed() {
  if (!await apply()) return;
  if (cursor < 0 && shown.length) await open(0, { read: false, remember: false });
  else if (chosen >= 0 && cursor >= 0) await show(chosen, { keep: true });
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
