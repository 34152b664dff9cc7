// The list of runs: one line each, changed in place while runs go on.
"use strict";

const lines = byId("lines"), state = byId("state"), words = byId("words");
const known = new Map(); // the line of each run, and what it shows
let runs = [];

const number = (value) => value.toLocaleString("en");

function buildLine(name) {
  const line = make("tr"), title = make("th"), link = make("a", "run-name"), under = make("div", "under");
  const tags = make("span", "tags"), note = make("div", "run-note");
  link.href = `/runs/${encodeURIComponent(name)}`;
  title.scope = "row";
  title.append(link, tags, under, note);
  const cells = { status: make("td"), dataset: make("td", "dataset"), models: make("td", "n"), judged: make("td", "n"), cost: make("td", "n"), seconds: make("td", "n") };
  const badge = make("span", "badge"), silent = make("div", "silent");
  cells.status.append(badge, silent);
  const figure = make("span"), meter = make("progress");
  meter.setAttribute("aria-hidden", "true");
  cells.judged.append(figure, meter);
  line.append(title, ...Object.values(cells));
  return { line, link, under, tags, note, badge, silent, figure, meter, cells, shown: "" };
}

function fillLine(one, run) {
  const content = JSON.stringify(run);
  if (one.shown === content) return;
  one.shown = content;
  say(one.link, run.name || run.run);
  say(one.under, run.name ? run.run : "");
  one.tags.replaceChildren(...run.tags.map((tag) => {
    const made = button(tag, () => { words.value = tag; draw(); }, "tag-button");
    made.setAttribute("aria-label", `Only runs with ${tag}`);
    return made;
  }));
  say(one.note, run.note);
  statusBadge(one.badge, run.status);
  say(one.silent, run.silent);
  say(one.cells.dataset, run.dataset);
  say(one.cells.models, run.models.replace(/ models?$/, ""));
  say(one.figure, `${number(run.judged)} / ${number(run.total)}`);
  one.meter.max = Math.max(1, run.total);
  one.meter.value = run.judged;
  one.meter.hidden = run.status !== "running";
  say(one.cells.cost, run.cost);
  say(one.cells.seconds, run.seconds);
}

function draw() {
  const wanted = words.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const holds = (run) => {
    const text = [run.run, run.name, ...run.tags, run.note, run.dataset, run.status].join("\n").toLowerCase();
    return wanted.every((word) => text.includes(word));
  };
  const chosen = runs.filter(holds);
  const elements = chosen.map((run) => {
    if (!known.has(run.run)) known.set(run.run, buildLine(run.run));
    fillLine(known.get(run.run), run);
    return known.get(run.run).line;
  });
  if (elements.length !== lines.children.length || elements.some((line, place) => lines.children[place] !== line)) lines.replaceChildren(...elements);
  const going = runs.filter((run) => run.status === "running").length;
  const count = wanted.length ? `${number(chosen.length)} of ${plural(runs.length, "run")}` : plural(runs.length, "run");
  say(state, runs.length ? `${count}${going ? `, ${going} under way` : ""}` : "There is no run yet; `unisafe run` makes one, and it appears here.");
  state.classList.remove("warn");
}

async function look() {
  try {
    runs = (await ask("/api/runs")).runs;
    draw();
  } catch (error) {
    say(state, error.message);
    state.classList.add("warn");
    return LATER;
  }
  document.documentElement.dataset.ready = "true";
  return SOON;
}

theme();
words.addEventListener("input", draw);
byId("narrow").addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target !== words && !event.ctrlKey && !event.metaKey) { words.focus(); event.preventDefault(); }
  if (event.key === "Escape" && event.target === words) { words.value = ""; draw(); }
});
watch(look);
