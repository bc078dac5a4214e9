// The answers of a problem: loaded when they are opened, and made into text nodes only. A file of
// answers (recode_eval/leaderboard/answers.py) has lists `texts`, `codes` and `conditions`, to which
// the samples in `runs` refer by index. A sample without `extraction` could not be graded.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const LONGEST_DIFF = 1500; // lines; the table of the diff grows with the square

  const make = (name, options = {}, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(options)) {
      if (key === "className") node.className = value;
      else node.setAttribute(key, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  };
  // Code by turns of class and text; it is stored as that, as text, or as a part of a completion.
  const pieces = (file, index) => {
    const code = file.codes[index];
    if (typeof code === "string") return ["", code];
    if (typeof code[0] === "string" || !code.length) return code;
    const [text, start, length] = code;
    return ["", file.texts[text].slice(start, start + length)];
  };
  const plain = (file, index) => pieces(file, index).filter((_, i) => i % 2).join("");
  const block = (className, label, ...children) =>
    make("pre", { className, tabindex: "0", role: "group", "aria-label": label }, ...children);

  const coloured = (found) => {
    const nodes = [];
    for (let i = 0; i < found.length; i += 2) {
      nodes.push(found[i] ? make("span", { className: `t${found[i]}` }, found[i + 1]) : found[i + 1]);
    }
    return block("code", "Extracted code", ...nodes);
  };

  // Longest common subsequence of lines; returns [sign, line] pairs.
  const difference = (a, b) => {
    const width = b.length + 1;
    const table = new Uint16Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        table[i * width + j] = a[i] === b[j]
          ? table[(i + 1) * width + j + 1] + 1
          : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
      }
    }
    const lines = [];
    let i = 0;
    let j = 0;
    while (i < a.length || j < b.length) {
      if (i < a.length && j < b.length && a[i] === b[j]) { lines.push([" ", a[i]]); i++; j++; }
      else if (j >= b.length || (i < a.length && table[(i + 1) * width + j] >= table[i * width + j + 1])) lines.push(["-", a[i++]]);
      else lines.push(["+", b[j++]]);
    }
    return lines;
  };
  const diff = (before, code, label = "Difference from the reference") => {
    const lined = (text) => text.replace(/\n+$/, "").split("\n");
    const a = lined(before), b = lined(code);
    if (Math.max(a.length, b.length) > LONGEST_DIFF) return make("p", {}, "Too long to compare here.");
    const kinds = { "-": "removed", "+": "added", " ": "same" };
    const lines = difference(a, b).map(([sign, line]) =>
      make("span", { className: kinds[sign] }, `${sign} ${line}\n`));
    return block("code diff", label, ...lines);
  };
  const fold = (title, build, open = false) => {
    const item = make("details", {}, make("summary", {}, title));
    const fill = () => { if (item.open && item.children.length === 1) item.append(build()); };
    item.addEventListener("toggle", fill);
    if (open) { item.open = true; fill(); }
    return item;
  };

  const verdicts = (conditions) => {
    const names = new Map();
    for (const condition of conditions) {
      for (const [name] of condition.tests) names.set(name, [...(names.get(name) ?? [])]);
    }
    const head = make("tr", {}, make("th", { scope: "col" }, "Test"),
      ...conditions.map((c) => make("th", { scope: "col" }, c.name.replaceAll("_", " "))));
    const rows = [...names.keys()].map((name) => make("tr", {}, make("th", { scope: "row" }, name),
      ...conditions.map((condition) => {
        const found = condition.tests.find((test) => test[0] === name);
        if (!found) return make("td", {}, "-");
        const good = found[1] === "passed";
        return make("td", {}, make("span", { className: `verdict ${good ? "good" : "bad"}` }, `${good ? "✓" : "✗"} ${found[1]}`),
          found[2] ? make("span", { className: "detail" }, found[2]) : null);
      })));
    const table = make("table", { className: "verdicts" },
      make("caption", {}, "Verdict of every test"), make("thead", {}, head), make("tbody", {}, ...rows));
    return make("div", { className: "scroll", role: "group", "aria-label": "Verdicts", tabindex: "0" }, table);
  };

  // What failed first, before anything else: the test, what it said, and its source. The source is the
  // task's. The line that failed is marked; of a record without it, all assertions are.
  const why = (conditions) => {
    const test = conditions[0]?.tests.find(([, status]) => status !== "passed");
    if (!test) return null;
    const [name, status, detail] = test, source = data.tests?.[name];
    const at = Object.hasOwn(conditions[0].lines ?? {}, name) ? conditions[0].lines[name] : 0;
    const parts = [make("p", { className: "why" }, make("strong", {}, name), ` ${status}${at ? ` at line ${at}` : ""}${detail ? ": " : ""}`, make("code", {}, detail ?? ""))];
    if (source !== undefined) {
      const asserted = detail.startsWith("AssertionError");
      const lines = source.replace(/\n+$/, "").split("\n").map((line, index) =>
        make("span", { className: (at ? at === index + 1 : asserted && /^\s*(assert\b|expect\(|self\.assert)/.test(line)) ? "asserted" : "same" }, `${line}\n`));
      parts.push(block("code diff", "Source of the failing test", ...lines));
    }
    return make("div", { className: "failing" }, ...parts);
  };

  const scored = (sample) => sample.extraction !== undefined;
  const graded = (file, sample) => (sample.conditions ?? []).map((index) => file.conditions[index]);

  /** What there is of a sample; `beside` another one, only what failed and the code are open. */
  const body = (file, sample, beside = false) => {
    const parts = [];
    const facts = [`ended by: ${sample.finish}`];
    const conditions = graded(file, sample);
    if (sample.tokens !== undefined) facts.push(`${sample.tokens} tokens`);
    if (scored(sample)) facts.push(`code found by: ${sample.extraction}`);
    if (sample.similarity !== undefined) facts.push(`${data.similarity} ${sample.similarity}`);
    parts.push(make("p", { className: "facts-line" }, facts.join(" · ")));
    if (!scored(sample)) parts.push(make("p", { className: "note" }, "Unscored: this sample could not be graded; it does not count as a failure."));
    else {
      if (sample.faulty !== undefined) parts.push(make("p", { className: "note" }, `The problem's set-up failed: ${sample.faulty}`));
      if (sample.flags) parts.push(make("p", { className: "note" }, `Suspicious: ${sample.flags.join("; ")}`));
      if (sample.code === undefined) parts.push(make("p", { className: "note" }, `No code was found. ${sample.detail ?? ""}`));
      else {
        const failing = why(conditions);
        if (failing) parts.push(failing);
        parts.push(coloured(pieces(file, sample.code)));
        if (data.reference !== null) parts.push(fold("Difference from the reference", () => diff(data.reference, plain(file, sample.code)), failing !== null && !beside));
      }
      if (conditions.some((c) => c.tests.length)) parts.push(verdicts(conditions));
      for (const c of conditions) {
        if (c.output) parts.push(fold(`Output (${c.name.replaceAll("_", " ")})`, () => block("wrap", "Output", c.output)));
      }
    }
    parts.push(fold("What the model wrote", () => block("wrap", "Completion",
      sample.prefill === undefined ? null : make("span", { className: "prefill" }, file.texts[sample.prefill]),
      file.texts[sample.text])));
    if (sample.talk) parts.push(fold("The conversation", () => talk(file, sample)));
    return make("div", {}, ...parts);
  };
  // What was said turn by turn: titles and texts are the model's and the sandbox's, so text nodes.
  const talk = (file, sample) => make("ol", { className: "talk" }, ...sample.talk.map(([title, text]) =>
    make("li", {}, make("h4", {}, title), block("wrap", title, file.texts[text]))));

  const word = (file, sample) => {
    if (!scored(sample)) return ["unscored", "warn"];
    if (sample.faulty !== undefined) return ["faulty problem", "warn"];
    if (sample.code === undefined) return ["no code", "bad"];
    if (!sample.conditions) return ["not executed", ""];
    const [condition] = graded(file, sample);
    if (condition.passed) return ["passes", "good"];
    const [, status, detail] = condition.tests.find(([, found]) => found !== "passed") ?? ["", "fails", ""];
    const short = (detail || status).split(":")[0].slice(0, 60);
    return [status === "failed" ? short || "fails" : status, "bad"];
  };

  const state = window.siteState;
  let restoring = false;
  const remember = () => {
    if (restoring) return;
    const open = [];
    for (const run of document.querySelectorAll("details.run[open]")) {
      const samples = [...run.querySelectorAll("details.sample[open]")];
      open.push(...(samples.length ? samples.map((s) => `${run.dataset.run}.${s.dataset.sample}`) : [run.dataset.run]));
    }
    state.set("open", open);
  };

  // Loads the file with a run's samples, once; a script, since pages on file:// load nothing else.
  const loading = new Map();
  const load = (name) => {
    if (!loading.has(name)) {
      loading.set(name, new Promise((resolve, reject) => {
        const script = make("script", { src: name });
        script.addEventListener("load", () => resolve(window.answers[name]));
        script.addEventListener("error", () => { loading.delete(name); reject(new Error(name)); });
        document.head.append(script);
      }));
    }
    return loading.get(name);
  };

  // For the two answers side by side (sides.js).
  window.answerViews = {
    make, fold, diff, body, word, plain,
    samples: async (key) => {
      const file = data.files[key] ? await load(data.files[key]) : null;
      return { file, samples: file?.runs[key] ?? [] };
    },
  };

  const filled = new Map();
  const fillRun = (run) => {
    if (!filled.has(run)) filled.set(run, list(run));
    return filled.get(run);
  };
  const list = async (run) => {
    const place = run.querySelector(".samples");
    const key = run.dataset.run;
    const name = data.files[key];
    let file;
    try { if (name) file = await load(name); } catch {
      filled.delete(run);
      place.replaceChildren(make("p", { className: "note" }, `The answers are in the file ${name}, which is not here.`));
      return;
    }
    const samples = file?.runs[key] ?? [];
    if (!samples.length) place.replaceChildren(make("p", {}, "No sample is stored."));
    else place.replaceChildren(...samples.map((sample) => item(file, sample)));
  };
  const item = (file, sample) => {
    const [label, kind] = word(file, sample);
    const found = make("details", { className: "sample", "data-sample": String(sample.i) },
      make("summary", {}, `Sample ${sample.i} `, make("span", { className: `badge ${kind}` }, label),
        sample.flags ? make("span", { className: "badge warn" }, "suspicious") : null));
    found.fill = () => { if (found.open && found.children.length === 1) found.append(body(file, sample)); };
    found.addEventListener("toggle", () => { found.fill(); remember(); });
    return found;
  };
  const runs = [...document.querySelectorAll("details.run")];
  for (const run of runs) {
    run.addEventListener("toggle", () => { if (run.open) fillRun(run); remember(); });
  }
  const restore = async () => {
    restoring = true;
    const wanted = state.get("open").map((value) => value.split("."));
    for (const run of runs) {
      const mine = wanted.filter(([key]) => key === run.dataset.run);
      run.open = mine.length > 0;
      if (!run.open) continue;
      await fillRun(run);
      for (const sample of run.querySelectorAll("details.sample")) {
        sample.open = mine.some(([, number]) => number === sample.dataset.sample);
        sample.fill();
      }
    }
    const first = runs.find((run) => run.open);
    if (first) first.scrollIntoView();
    setTimeout(() => { restoring = false; }, 50); // toggle events come later
  };
  state.listen(restore);
})();
