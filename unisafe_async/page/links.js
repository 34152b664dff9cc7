// Links into the gallery: which choice of a filter a value in an address means, and the words for a value that means none.
"use strict";

const foldWord = (word) => word.toLowerCase().normalize("NFKC").replace(/[^\p{L}\p{N}]+/gu, "");

// The value of the option of `select` that `given` means: its value, its words, or one of `others` ({name: value}), in any spelling.
function findChoice(select, given, others = {}) {
  const options = [...select.options].filter((one) => one.value);
  const exact = options.find((one) => one.value === given);
  if (exact) return exact.value;
  const folded = foldWord(given);
  if (!folded) return null;
  const means = new Set(options.filter((one) => [one.value, one.text].some((word) => foldWord(word) === folded)).map((one) => one.value));
  for (const [name, value] of Object.entries(others)) if (foldWord(name) === folded) means.add(value);
  return means.size === 1 ? [...means][0] : null;
}

// What an address sets: a value for each filter, the item, and a sentence for each part that says nothing on this page.
function readAddress(hash, form, names, others) {
  const set = {}, unknown = [];
  const ours = hash.includes("=");
  const state = new URLSearchParams(ours ? hash.slice(1) : "");
  for (const [name, given] of state) {
    const field = names.includes(name) ? form.elements[name] : null;
    if (name === "item" || given.trim() === "") continue;
    if (!field) unknown.push(`There is no filter “${name}”; the filters are ${names.join(", ")}, and item opens one.`);
    else if (name in set) unknown.push(`Each filter takes one value, so ${name} “${given}” is left out.`);
    else if (!field.options) set[name] = given;
    else {
      const value = findChoice(field, given, others[name]);
      if (value === null) unknown.push(`There is no ${name} “${given}” here, so the list is not limited by it.`);
      else set[name] = value;
    }
  }
  return { ours, set, unknown, item: state.get("item") };
}
