// The answers of a problem: made from the page's data when they are opened, as text nodes only.
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
  const text = (code) => data.codes[code].filter((_, index) => index % 2).join("");
  const block = (className, label, ...children) =>
    make("pre", { className, tabindex: "0", role: "group", "aria-label": label }, ...children);

  const coloured = (code) => {
    const pieces = data.codes[code];
    const nodes = [];
    for (let i = 0; i < pieces.length; i += 2) {
      nodes.push(pieces[i] ? make("span", { className: `t${pieces[i]}` }, pieces[i + 1]) : pieces[i + 1]);
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
  const diff = (code) => {
    const a = text(data.reference).split("\n");
    const b = text(code).split("\n");
    if (Math.max(a.length, b.length) > LONGEST_DIFF) return make("p", {}, "Too long to compare here.");
    const kinds = { "-": "removed", "+": "added", " ": "same" };
    const lines = difference(a, b).map(([sign, line]) =>
      make("span", { className: kinds[sign] }, `${sign} ${line}\n`));
    return block("code diff", "Difference from the reference", ...lines);
  };
  const fold = (title, build, open = false) => {
    const item = make("details", {}, make("summary", {}, title));
    const fill = () => { if (item.open && item.children.length === 1) item.append(build()); };
    item.addEventListener("toggle", fill);
    if (open) { item.open = true; fill(); }
    return item;
  };

  const verdicts = (sample) => {
    const names = new Map();
    for (const condition of sample.conditions) {
      for (const [name] of condition.tests) names.set(name, [...(names.get(name) ?? [])]);
    }
    const head = make("tr", {}, make("th", { scope: "col" }, "Test"),
      ...sample.conditions.map((c) => make("th", { scope: "col" }, c.name.replaceAll("_", " "))));
    const rows = [...names.keys()].map((name) => make("tr", {}, make("th", { scope: "row" }, name),
      ...sample.conditions.map((condition) => {
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

  const body = (sample) => {
    const parts = [];
    const facts = [`ended by: ${sample.finish}`];
    if (sample.tokens !== null) facts.push(`${sample.tokens} tokens`);
    if (sample.scored) facts.push(`code found by: ${sample.extraction}`, `ES ${sample.es}`);
    parts.push(make("p", { className: "facts-line" }, facts.join(" · ")));
    if (!sample.scored) parts.push(make("p", { className: "note" }, "Unscored: this sample could not be judged; it does not count as a failure."));
    else {
      if (sample.faulty !== null) parts.push(make("p", { className: "note" }, `The problem's set-up failed: ${sample.faulty}`));
      if (sample.flags.length) parts.push(make("p", { className: "note" }, `Suspicious: ${sample.flags.join("; ")}`));
      if (sample.code === null) parts.push(make("p", { className: "note" }, `No code was found. ${sample.detail}`));
      else {
        parts.push(coloured(sample.code));
        if (data.reference !== null) parts.push(fold("Difference from the reference", () => diff(sample.code)));
      }
      if (sample.conditions.some((c) => c.tests.length)) parts.push(verdicts(sample));
      for (const c of sample.conditions) {
        if (c.output) parts.push(fold(`Output (${c.name.replaceAll("_", " ")})`, () => block("wrap", "Output", c.output)));
      }
    }
    parts.push(fold("What the model wrote", () => block("wrap", "Completion",
      sample.prefill ? make("span", { className: "prefill" }, sample.prefill) : null, sample.text)));
    return make("div", {}, ...parts);
  };

  const word = (sample) => {
    if (!sample.scored) return ["unscored", "warn"];
    if (sample.faulty !== null) return ["faulty problem", "warn"];
    if (sample.code === null) return ["no code", "bad"];
    if (!sample.conditions.length) return ["not executed", ""];
    return sample.conditions[0].passed ? ["passes", "good"] : ["fails", "bad"];
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

  const fillRun = (run) => {
    const place = run.querySelector(".samples");
    if (place.children.length) return;
    const samples = data.runs[run.dataset.run] ?? [];
    if (!samples.length) place.append(make("p", {}, "No sample is stored."));
    for (const sample of samples) {
      const [label, kind] = word(sample);
      const item = make("details", { className: "sample", "data-sample": String(sample.i) },
        make("summary", {}, `Sample ${sample.i} `, make("span", { className: `badge ${kind}` }, label),
          sample.scored && sample.flags.length ? make("span", { className: "badge warn" }, "suspicious") : null));
      item.addEventListener("toggle", () => { fillSample(item, sample); remember(); });
      place.append(item);
    }
  };
  const fillSample = (item, sample) => {
    if (item.open && item.children.length === 1) item.append(body(sample));
  };
  const runs = [...document.querySelectorAll("details.run")];
  for (const run of runs) {
    run.addEventListener("toggle", () => { if (run.open) fillRun(run); remember(); });
  }
  const restore = () => {
    restoring = true;
    const wanted = state.get("open").map((value) => value.split("."));
    for (const run of runs) {
      const mine = wanted.filter(([key]) => key === run.dataset.run);
      run.open = mine.length > 0;
      if (!run.open) continue;
      fillRun(run);
      for (const item of run.querySelectorAll("details.sample")) {
        item.open = mine.some(([, sample]) => sample === item.dataset.sample);
        fillSample(item, data.runs[run.dataset.run].find((s) => String(s.i) === item.dataset.sample));
      }
    }
    const first = runs.find((run) => run.open);
    if (first) first.scrollIntoView();
    setTimeout(() => { restoring = false; }, 50); // toggle events come later
  };
  state.listen(restore);
})();
