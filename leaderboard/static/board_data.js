// Reading a board's data file (recode_eval/leaderboard/comparing.py): which samples pass, per run and
// problem. A run has `passed` (`width` characters a problem: passes to base 62, "-" where nothing was
// scored; `scored` where not all n samples were graded), or `values` where its task has no tests.
"use strict";
(() => {
  const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

  /** The data of a board; its file is a script, since pages of `file://` can load nothing else. */
  const load = (key, file) => new Promise((resolve, reject) => {
    const known = () => window.compareData?.[key];
    if (known()) { resolve(known()); return; }
    const script = document.createElement("script");
    script.src = file;
    script.addEventListener("load", () => (known() ? resolve(known()) : reject()));
    script.addEventListener("error", () => reject());
    document.head.append(script);
  });

  /** Per problem [passed, scored], or null where there is no score; null for a task without tests. */
  const counts = (run) => run.values ? null : Array.from({ length: run.passed.length / run.width }, (_, i) => {
    const text = run.passed.slice(i * run.width, (i + 1) * run.width);
    if (text.includes("-")) return null;
    return [[...text].reduce((number, digit) => number * 62 + DIGITS.indexOf(digit), 0), run.scored[i] ?? run.n];
  });

  /** Per problem the share that passes, or null; of a task without tests its similarity. */
  const rates = (run) => run.values ?? counts(run).map((count) => count && count[0] / count[1]);

  window.boardData = { counts, load, rates };
})();
