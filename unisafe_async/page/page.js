// The items that the page holds: columns over one table of strings, unpacked once.
"use strict";

let data, strings, pictures; // columns, texts, where images are
let rowsOf; // first row of each item; one more at the end
let folded; // texts in lower case, made at the first search
let matching; // rows that match, when any filter is set

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
  const count = data.items.name.length;
  rowsOf = new Uint32Array(count + 1);
  for (const item of data.rows.item) rowsOf[item + 1] += 1;
  for (let item = 0; item < count; item += 1) rowsOf[item + 1] += rowsOf[item];
  source = {
    choices: {
      model: data.models.map((name) => [name, name]),
      task: data.tasks.map((name) => [name, name]),
      category: data.categories.map((name) => [name, name]),
      verdict: Object.entries(VERDICTS),
      outcome: listOutcomes(data.outcomes),
    },
    names: { task: data.task_keys },
    total: { items: count, answers: data.rows.item.length },
    labels: data.labels,
    select, entry: entryOf, item: itemOf, address,
    find: async (name) => data.items.name.indexOf(name),
  };
  await begin();
}

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

async function select(filters) {
  const words = filters.q.toLowerCase();
  const wanted = {
    model: data.models.indexOf(filters.model), task: data.tasks.indexOf(filters.task),
    category: data.categories.indexOf(filters.category), outcomes: findOutcomes(filters.outcome),
    verdict: filters.verdict, words, hits: words ? searchRows(words) : null,
  };
  const any = FILTERS.some((name) => filters[name]);
  matching = any ? new Set() : null;
  const shown = [];
  for (let item = 0; item < data.items.name.length; item += 1) {
    let hit = !any;
    for (let row = rowsOf[item]; any && row < rowsOf[item + 1]; row += 1) {
      if (matches(row, wanted)) { hit = true; matching.add(row); }
    }
    if (hit) shown.push(item);
  }
  return { shown, any, answers: any ? matching.size : source.total.answers };
}

// ---------------------------------------------------------------- items

function entryOf(item) {
  const { items, rows } = data, marks = [];
  let picture = items.image[item];
  for (let row = rowsOf[item]; row < rowsOf[item + 1]; row += 1) {
    const other = Boolean(matching && !matching.has(row));
    marks.push({ model: data.models[rows.model[row]], verdict: verdictOf(rows.contextual[row], rows.intrinsic[row]), other });
    if (!picture && rows.images[row] && !other) picture = rows.images[row][0];
  }
  return { name: items.name[item], words: strings[items.prompt[item]], picture, marks };
}

async function itemOf(item) {
  const { items } = data, answers = [];
  for (let row = rowsOf[item]; row < rowsOf[item + 1]; row += 1) answers.push(answerOf(row));
  const meta = `${data.tasks[items.task[item]]} · ${data.categories[items.category[item]]}: ${data.subcategories[items.subcategory[item]]}`;
  return { name: items.name[item], meta, prompt: strings[items.prompt[item]], picture: items.image[item], answers };
}

const TEXTS = ["text", "told", "note", "contextual_reason", "intrinsic_reason", "opinions", "thoughts", "thoughts_reason", "beside_reason"];

function answerOf(row) {
  const { rows } = data, one = { other: Boolean(matching && !matching.has(row)) };
  for (const name of Object.keys(rows)) one[name] = TEXTS.includes(name) ? strings[rows[name][row]] : rows[name][row];
  return { ...one, model: data.models[rows.model[row]], repeat: rows.sample[row], outcome: data.outcomes[rows.outcome[row]] };
}

function address(digest) {
  if (Object.hasOwn(pictures.data, digest)) return `data:image/webp;base64,${pictures.data[digest]}`;
  if (Object.hasOwn(pictures.names, digest)) return `${pictures.base}/${pictures.names[digest]}`;
  return null;
}

start();
