// Asking the program for data, and asking again while a run goes on.
"use strict";

const SOON = 1500; // milliseconds between two looks at a run that goes on
const LATER = 8000; // and at one that has ended

// The answer as JSON; an error carries the program's sentence.
async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", ...options });
  } catch (error) {
    throw new Error("The program does not answer; it may have ended. Start `unisafe view` again.");
  }
  if (answer.status === 403) throw new Error("The program was started anew: open the address that it printed.");
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error ?? `The program answered ${answer.status}.`);
  return answer.json();
}

// Call `look` again and again while the page can be seen; it returns the milliseconds until the next time.
async function watch(look) {
  for (;;) {
    const started = performance.now();
    const pause = document.hidden ? LATER : await look();
    await new Promise((resume) => {
      const timer = setTimeout(resume, Math.max(pause, 4 * (performance.now() - started)));
      document.addEventListener("visibilitychange", () => { clearTimeout(timer); resume(); }, { once: true });
    });
  }
}

// Change the words of an element only if they differ, so that a selection and a screen reader stay where they are.
function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function statusBadge(element, status) {
  element.className = `badge status ${status}`;
  say(element, status);
}
