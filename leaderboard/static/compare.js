// Compare two runs of one board, in the browser. The state is the fragment: a=RUN, b=RUN, metric=.
// A board's file (recode_eval/leaderboard/comparing.py) has one entry per problem in `ids`, `pages`,
// `clusters`, every tag's `of`, and in each run's `passed` or `values` (board_data.js). How a metric
// is shown (`metrics`) and what keeps two runs from being compared (`rules`, and a run's `facts`:
// comparability.js) is data, too: both are ruled in Python.
"use strict";
(() => {
  const MOST_ROWS = 12; // of one tag in the chart; the table has all
  const MOST_OPEN = 20; // problems of a list that is open from the start
  const stats = window.compareStats, { counts, load } = window.boardData, { plural, siteState: state } = window;
  const boards = JSON.parse(document.getElementById("boards").textContent);
  const boardOf = new Map(boards.flatMap((board) => board.runs.map(([key]) => [key, board])));
  const get = (id) => document.getElementById(id);
  const pick = { board: get("board"), a: get("a"), b: get("b"), metric: get("metric") };

  const make = (name, attributes = {}, ...children) => {
    const svg = ["svg", "title", "desc", "line", "circle", "text"].includes(name);
    const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  };

  // Numbers for people ----------------------------------------------------------------------
  let unit = { scale: 100, digits: 1, unit: "points" }; // of the metric that is shown
  const fixed = (value, digits) => (Number(value.toFixed(digits)) || 0).toFixed(digits); // no -0.0
  const scaled = (share) => fixed(unit.scale * share, unit.digits);
  const plain = (share) => (share === null ? "-" : scaled(share));
  const points = (share) => (share === null ? "-" : `${share > 0 && Number(scaled(share)) ? "+" : ""}${scaled(share)}`);
  const interval = (d) => (d.low === null ? "no interval" : `[${points(d.low)}, ${points(d.high)}]`);
  const chance = (p) => (p === null ? "-" : p < 1e-4 ? p.toExponential(1) : p.toFixed(4));
  const outcome = (d) => {
    if (d.low === null) return ["?", "the data cannot tell", ""];
    const up = unit.higher_is_better ?? true;
    if (d.low > 0) return up ? ["▲", "B is better", "good"] : ["▲", "B is worse", "bad"];
    if (d.high < 0) return up ? ["▼", "B is worse", "bad"] : ["▼", "B is better", "good"];
    return ["≈", "not distinguishable", ""];
  };

  // The data --------------------------------------------------------------------------------
  const values = (run, metric) => {
    if (run.values) return run.values;
    return counts(run).map((count) => count && stats.passAt(count[1], count[0], metric.k));
  };
  const metricsOf = (data, a, b) => data.metrics.filter(({ k }) => k === null || k <= Math.min(a.n, b.n));

  const compare = (data, a, b, metric) => {
    const first = values(a, metric), second = values(b, metric);
    const pairs = data.ids.map((_, i) => i).filter((i) => first[i] !== null && second[i] !== null);
    const over = (chosen) => {
      const of = (list) => chosen.map((i) => list[i]);
      const [low, high] = metric.bounds;
      return stats.difference(of(first), of(second), of(data.clusters), { low, high });
    };
    const tags = data.tags.map((tag) => ({
      name: tag.name,
      rows: tag.values.map((name, number) => ({ name, ...over(pairs.filter((i) => tag.of[i] === number)) }))
        .filter((row) => row.n).sort((x, y) => y.n - x.n || (x.name < y.name ? -1 : 1)),
    })).filter((tag) => tag.rows.length);
    return {
      metric: metric.label, tags,
      overall: over(pairs),
      flip: stats.signFlip(pairs.map((i) => second[i] - first[i]), pairs.map((i) => data.clusters[i])),
      changes: changes(a, b),
    };
  };

  /** Which problems B fixed and broke for certain, and how many passed more or less often. */
  const changes = (a, b) => {
    const first = counts(a), second = counts(b);
    if (!first || !second) return null;
    const both = first.map((count, i) => i).filter((i) => first[i] && second[i]);
    const rate = ([passed, scored]) => passed / scored, moved = (i) => rate(second[i]) - rate(first[i]);
    const signs = stats.changedProblems(both.map((i) => [...first[i], ...second[i]]));
    const list = (sign) => both.filter((_, at) => signs[at] === sign).map((i) => ({ i, a: first[i], b: second[i] }))
      .sort((x, y) => Math.abs(moved(y.i)) - Math.abs(moved(x.i)) || x.i - y.i);
    const better = both.filter((i) => moved(i) > 0).length, worse = both.filter((i) => moved(i) < 0).length;
    return { fixed: list(1), broken: list(-1), better, worse, equal: both.length - better - worse };
  };

  // The chart -------------------------------------------------------------------------------
  const WIDTH = 520, MARGIN = 32, ROW = 42, HEAD = 30, TOP = 4, BOTTOM = 34;
  const step = (span) => [0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5].find((size) => span / size <= 6) ?? 0.5;

  const forest = (result) => {
    const overall = { name: "All problems", ...result.overall };
    const drawn = (tag) => ({ ...tag, rows: tag.rows.filter((row) => row.clusters > 1).slice(0, MOST_ROWS) });
    const groups = [{ rows: [overall] }, ...result.tags.map(drawn).filter((tag) => tag.rows.length)];
    const rows = groups.flatMap((group) => group.rows);
    const ends = rows.flatMap((row) => [row.low ?? row.mean, row.high ?? row.mean]);
    const size = step(Math.max(0.02, Math.max(0, ...ends) - Math.min(0, ...ends)));
    const low = Math.floor(Math.min(0, ...ends) / size + 1e-9) * size, high = Math.ceil(Math.max(0, ...ends) / size - 1e-9) * size;
    const x = (share) => (MARGIN + (share - low) / (high - low) * (WIDTH - 2 * MARGIN)).toFixed(1);
    const bottom = TOP + groups.reduce((y, group) => y + (group.name ? HEAD : 0) + ROW * group.rows.length, 0);
    const words = rows.map((row) => `${row.name}: ${points(row.mean)} ${unit.unit}, ${interval(row)}`).join("; ");
    const svg = make("svg", { class: "chart", viewBox: `0 0 ${WIDTH} ${bottom + BOTTOM}`, role: "img", "aria-labelledby": "forest-t forest-d" },
      make("title", { id: "forest-t" }, `Difference in ${result.metric}, B minus A, with 95 % intervals`),
      make("desc", { id: "forest-d" }, words));
    for (let tick = Math.round(low / size); tick <= Math.round(high / size); tick++) {
      const at = x(tick * size);
      svg.append(
        make("line", { class: tick ? "grid" : "zero", x1: at, x2: at, y1: TOP, y2: bottom }),
        make("text", { class: "tick", x: at, y: bottom + 20, "text-anchor": "middle" }, `${tick > 0 ? "+" : ""}${fixed(unit.scale * tick * size, unit.scale === 1 ? 2 : 0)}`));
    }
    let y = TOP;
    for (const group of groups) {
      if (group.name) {
        svg.append(make("text", { class: "label group", x: 4, y: y + 23 }, `By ${group.name.replaceAll("_", " ")}`));
        y += HEAD;
      }
      for (const row of group.rows) {
        const label = row.name.length > 30 ? `${row.name.slice(0, 29)}…` : row.name;
        svg.append(make("text", { class: "label", x: MARGIN, y: y + 17 }, `${label} (${row.n})`));
        if (row.low !== null) svg.append(make("line", { class: "whisker", x1: x(row.low), x2: x(row.high), y1: y + 30, y2: y + 30 }));
        svg.append(make("circle", { class: `dot ${row.low === null ? "unranked" : "ranked"}`, cx: x(row.mean), cy: y + 30, r: 5 }));
        y += ROW;
      }
    }
    return svg;
  };

  // The tables ------------------------------------------------------------------------------
  const cell = (text, value) => make("td", { class: "num", "data-v": value ?? "" }, text);
  const scroll = (label, ...children) => make("div", { class: "scroll", role: "group", "aria-label": label, tabindex: "0" }, ...children);
  /** A button that shows what a head means (recode_eval/leaderboard/glossary.py, `data-terms`). */
  const tip = (text, term) => term ? [make("button", { type: "button", class: "tip", popovertarget: `term-${term}`, popovertargetaction: "show", "aria-describedby": `term-${term}`, "aria-label": `What is ${text}?` })] : [];
  const table = (id, caption, heads, rows) => make("table", { id },
    make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...heads.map(([text, number, term]) => make("th", { scope: "col", ...(number ? { class: "num" } : {}) }, text, ...tip(text, term))))),
    make("tbody", {}, ...rows));

  const numbers = (result) => {
    const row = (name, d) => {
      const [glyph, words, kind] = outcome(d);
      return make("tr", {}, make("th", { scope: "row" }, name), cell(plain(d.a), d.a), cell(plain(d.b), d.b),
        cell(points(d.mean), d.mean), make("td", { class: "num", "data-low": d.low ?? "", "data-high": d.high ?? "", title: d.method }, interval(d)),
        cell(chance(d.p), d.p), make("td", { class: `verdict ${kind}` }, `${glyph} ${words}`), cell(String(d.n), d.n), cell(String(d.clusters), d.clusters));
    };
    const heads = [["Problems of"], ["A", 1], ["B", 1], ["B - A", 1], ["95 % interval", 1, "interval"], ["p", 1, "p"], ["Reading"], ["Problems", 1], ["Clusters", 1, "cluster"]];
    const part = (id, words, rows) => scroll(words, table(id, `${words}: ${result.metric}${unit.scale === 100 ? " in percent" : ""}, differences in ${unit.unit}`, heads, rows));
    return make("div", {}, part("differences", "All problems", [row("all", result.overall)]), ...result.tags.map((tag, number) => {
      const words = `By ${tag.name.replaceAll("_", " ")}`;
      return make("details", {}, make("summary", {}, `${words} (${tag.rows.length})`),
        part(`differences-${number}`, words, tag.rows.map((item) => row(item.name, item))),
        make("p", { class: "ci" }, "Not adjusted for the number of rows: hints, not findings."));
    }));
  };

  const tests = (result) => {
    const d = result.overall;
    const row = (name, words, p, kind) => make("tr", { "data-test": kind }, make("th", { scope: "row" }, name), make("td", {}, words), cell(chance(p), p));
    const rows = [row("Clustered t-test", d.error === null ? d.method : `${fixed(d.effective - 1, 1)} degrees of freedom, standard error ${fixed(unit.scale * d.error, unit.digits + 1)} ${unit.unit}`, d.p, "t")];
    rows.push(d.clusters > stats.MOST_FLIPPED
      ? row("Sign-flip test", `exact for up to ${stats.MOST_FLIPPED} clusters only; with ${d.clusters} it draws at random: recode-eval compare A B`, null, "flip")
      : row("Sign-flip test, exact", `all 2^${d.clusters} ways to flip the clusters' signs`, result.flip, "flip"));
    return scroll("Tests", table("tests", "Is there any difference? Two-sided", [["Test"], ["From"], ["p", 1, "p"]], rows));
  };

  const square = (c) => {
    const line = (name, some, certain) => make("tr", {}, make("th", { scope: "row" }, name), cell(String(some), some), certain === null ? make("td", {}) : cell(String(certain), certain));
    return scroll("Problems that changed", table("square", "Problems that pass more or less often with B. Certain: by Fisher's exact test, of those named at most 5 % wrongly (false discovery rate)", [[""], ["In these samples", 1], ["Certain", 1]], [
      line("better with B", c.better, c.fixed.length), line("worse with B", c.worse, c.broken.length), line("equal", c.equal, null)]));
  };

  const list = (data, a, b, title, id, items) => {
    const rows = items.map((item) => make("tr", {},
      make("th", { scope: "row" }, make("a", { href: `${data.pages[item.i]}#a=${a}&b=${b}` }, data.ids[item.i])),
      cell(`${item.a[0]} of ${item.a[1]}`), cell(`${item.b[0]} of ${item.b[1]}`)));
    return make("details", items.length <= MOST_OPEN ? { open: "" } : {}, make("summary", {}, `${title}: ${items.length}`),
      items.length ? scroll(title, table(id, "Samples that pass", [["Problem"], ["A", 1], ["B", 1]], rows)) : make("p", {}, "None."));
  };

  const show = (data, keys, metric) => {
    const [a, b] = keys.map((key) => data.runs[key]);
    unit = metric;
    const result = compare(data, a, b, metric), place = get("comparison");
    place.replaceChildren();
    const notes = window.comparability.differences(data.rules, a.facts, b.facts, ["A", "B"], data.limit, data.ids.length)
      .map(({ text }) => `${text.replace(/^[a-z]{2}/, (start) => start[0].toUpperCase() + start[1])}.`);
    if (notes.length) place.append(make("div", { class: "note" }, make("p", {}, "The difference may not be the models' alone:"), make("ul", {}, ...notes.map((text) => make("li", {}, text)))));
    if (!result.overall) { say("No problem has a score in both runs."); return; }
    const d = result.overall, [glyph, words] = outcome(d);
    say(`${glyph} ${result.metric}: ${words}${d.low === null ? ` (${d.method})` : ""}. B minus A is ${points(d.mean)} ${unit.unit}, 95 % interval ${interval(d)}, p = ${chance(d.p)}, on ${plural(d.n, "problem")} in ${plural(d.clusters, "cluster")}.`);
    const names = make("p", {}, ...[["A", a], ["B", b]].flatMap(([letter, run]) => [`${letter}: `, make("a", { href: run.page }, run.name), letter === "A" ? "; " : "."]));
    const moved = result.changes
      ? [square(result.changes), make("h2", {}, "Problems that certainly changed"), list(data, ...keys, "Fixed by B", "fixed", result.changes.fixed), list(data, ...keys, "Broken by B", "broken", result.changes.broken)]
      : [make("p", {}, "This task has no tests: no problem can be called fixed or broken.")];
    place.append(names,
      make("div", { class: "columns" },
        make("div", {}, make("h2", {}, "Tests"), tests(result), ...moved),
        make("figure", {}, forest(result), make("figcaption", {}, `Difference in ${result.metric} in ${unit.unit}, B minus A, with 95 % intervals clustered by update; in brackets the number of problems. Of each tag at most ${MOST_ROWS} values with two clusters or more are drawn.`))),
      make("h2", {}, "Differences"), numbers(result));
    cite(data, keys);
  };

  /** The entry for the pair: Python's text, with the names that Python made harmless for LaTeX. */
  const cite = (data, keys) => {
    const [a, b] = keys.map((key) => data.runs[key].tex ?? data.runs[key].name), [one, two] = keys.map((key) => key.replace(/[^A-Za-z0-9-]/g, ""));
    const words = { "<<A>>": a, "<<B>>": b, "<<KEY-A>>": one, "<<KEY-B>>": two };
    get("bibtex-pair").textContent = data.bibtex.replace(/<<(?:KEY-)?[AB]>>/g, (word) => words[word]);
    get("cite-pair").hidden = false;
  };

  // Choosing --------------------------------------------------------------------------------
  const say = (text) => { get("verdict").textContent = text; };
  const fill = (select, options, chosen) => {
    const known = options.some(([value]) => value === chosen);
    select.replaceChildren(...(known || !options.length ? [] : [make("option", { value: "" }, "choose")]),
      ...options.map(([value, text]) => make("option", { value }, text)));
    select.value = known ? chosen : "";
    select.shown?.();
  };
  const title = (key) => boardOf.get(key).runs.find(([other]) => other === key)[1];

  /** A is given or the best run but B, B the best but A: what is new is compared with what was. */
  const chosen = () => {
    let [a] = state.get("a"), [b] = state.get("b");
    const board = boardOf.get(a) ?? boardOf.get(b) ?? boards.find((x) => x.key === state.get("board")[0])
      ?? boards.find((x) => x.runs.length > 1) ?? boards[0];
    const all = board.runs.map(([key]) => key), models = all.filter((key) => !board.baselines.includes(key));
    const keys = models.length > 1 ? models : all; // built-in answers are chosen by hand
    b ||= keys.find((key) => key !== (a || keys[1])) ?? "";
    a ||= keys.find((key) => key !== b) ?? "";
    return { board, a, b };
  };

  const problem = ({ board, a, b }) => {
    if (board.runs.length < 2) return `${board.label} has one run only: nothing else was asked and graded in the same way.`;
    const stranger = [a, b].find((key) => key && !boardOf.has(key));
    if (stranger) return "A run in this link is not on this site.";
    if (!a || !b) return "Choose two runs.";
    if (a === b) return "A and B are the same run.";
    const [one, two] = [boardOf.get(a), boardOf.get(b)];
    if (one === two) return "";
    const differ = Object.keys(one.conditions).filter((name) => one.conditions[name] !== two.conditions[name]);
    return `These runs cannot be paired: ${title(a)} is on ${one.label}, ${title(b)} on ${two.label}. The boards differ in: ${differ.join(", ")}.`;
  };

  let latest = 0;
  const update = async () => {
    const now = ++latest, choice = chosen(), { board, a, b } = choice;
    const place = get("comparison"), wrong = problem(choice);
    get("cite-pair").hidden = true;
    pick.board.value = board.key;
    fill(pick.a, board.runs, a);
    fill(pick.b, board.runs, b);
    place.dataset.state = "waiting";
    const done = () => { place.dataset.state = "ready"; };
    if (wrong) {
      place.replaceChildren();
      fill(pick.metric, [], "");
      say(wrong);
      done();
      return;
    }
    try {
      const data = await load(board.key, board.file);
      if (now !== latest) return; // another choice was made meanwhile
      const metrics = metricsOf(data, data.runs[a], data.runs[b]);
      const metric = metrics.find(({ name }) => name === state.get("metric")[0]) ?? metrics[0];
      fill(pick.metric, metrics.map(({ name, label }) => [name, label]), metric.name);
      show(data, [a, b], metric);
    } catch (error) {
      if (error) throw error;
      place.replaceChildren();
      say(`The data of this board (${board.file}) cannot be loaded.`);
    }
    done();
  };

  if (!boards.length) { say("There are no runs."); return; }
  const choose = (a, b) => { state.set("a", [a]); state.set("b", [b]); };
  pick.board.append(...boards.map((board) => make("option", { value: board.key }, `${board.label} (${plural(board.runs.length, "run")})`)));
  pick.board.addEventListener("change", () => { choose("", ""); state.set("board", [pick.board.value]); update(); });
  for (const select of [pick.a, pick.b]) {
    window.combobox(select);
    select.addEventListener("change", () => { choose(pick.a.value, pick.b.value); state.set("board", []); update(); });
  }
  pick.metric.addEventListener("change", () => { state.set("metric", [pick.metric.value]); update(); });
  get("swap").addEventListener("click", () => { choose(pick.b.value, pick.a.value); update(); });
  get("pick").addEventListener("submit", (event) => event.preventDefault());
  state.listen(update);
})();
