// What a screen is too narrow for: a sign beside everything that is cut, and no links to sections that the page does not have.
"use strict";

const SIDEWAYS = ".scroll, .bar nav";

// Say on an element which of its sides is cut: page.css fades that side and draws an arrow.
function markCut(element) {
  const left = element.scrollLeft > 1, right = element.scrollLeft + element.clientWidth < element.scrollWidth - 1;
  const cut = left && right ? "both" : left ? "left" : right ? "right" : "";
  if (element.dataset.cut !== cut) element.dataset.cut = cut;
}

const cutObserver = new ResizeObserver((entries) => { for (const { target } of entries) markCut(target); });

// To be called again whenever a part comes onto the page.
function layOut() {
  for (const link of document.querySelectorAll(".bar nav a[href^='#']")) {
    link.hidden = !document.getElementById(link.hash.slice(1));
  }
  for (const element of document.querySelectorAll(SIDEWAYS)) {
    const known = element.dataset.cut !== undefined;
    markCut(element);
    if (known) continue;
    cutObserver.observe(element);
    element.addEventListener("scroll", () => markCut(element), { passive: true });
  }
}

layOut();
