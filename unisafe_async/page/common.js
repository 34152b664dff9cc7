// Small pieces that every page uses: elements from text, and light or dark.
"use strict";

const byId = (id) => document.getElementById(id);

const plural = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

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

function button(words, does, name = "") {
  const element = make("button", name, words);
  element.type = "button";
  element.addEventListener("click", does);
  return element;
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
