// Scores by date: a slider over the days of a board's changes. The state is `after.BOARD=DAY` and
// `newer.BOARD=yes`. A board's data is loaded when its slider is first used.
"use strict";
(() => {
  const boards = JSON.parse(document.getElementById("dated-boards").textContent);
  const { plural, siteState: state } = window, stats = window.compareStats, windows = window.boardWindows;

  /** The board's values with its problems in the order of their days; those without one come first. */
  const table = (board, data) => {
    const order = board.of.map((_, i) => i).sort((a, b) => board.of[a] - board.of[b] || a - b);
    const value = (run) => {
      const found = run.values ?? window.boardData.counts(run).map((count) => count && stats.passAt(count[1], count[0], board.metric.k));
      return Float64Array.from(order, (i) => found[i] ?? NaN);
    };
    return {
      days: order.map((i) => board.days[board.of[i]] ?? ""),
      clusters: order.map((i) => data.clusters[i]),
      rows: board.models.map(({ run }) => value(data.runs[run])),
    };
  };

  /** Score and rank of every model on the problems after a day; with `newer` after what it may know. */
  const compute = (board, { days, clusters, rows }, after, newer) => {
    const first = (day) => { const at = days.findIndex((other) => other > day); return at < 0 ? days.length : at; };
    const start = after ? first(after) : 0;
    const starts = board.models.map(({ until }) => (newer ? (until ? Math.max(start, first(until)) : days.length) : start));
    const options = { alpha: board.alpha, confidence: board.confidence, bounds: board.metric.bounds };
    const found = rows.map((row, i) => windows.mean(row, clusters, { ...options, start: starts[i] }));
    const ranked = found.map((_, i) => i).filter((i) => board.models[i].ranked && found[i].mean !== null);
    const places = windows.ranks(ranked.map((i) => rows[i]), clusters, ranked.map((i) => starts[i]), options);
    ranked.forEach((i, at) => { found[i].rank = places[at]; });
    return { problems: days.length - start, models: found };
  };

  const shown = (metric, value) => {
    const text = (metric.scale * value).toFixed(metric.digits);
    return Number(text) === 0 ? text.replace("-", "") : text;
  };
  const cell = (node, text, data, more) => {
    node.textContent = text;
    if (more) {
      const small = document.createElement("span");
      small.className = "ci";
      small.textContent = more;
      node.append(" ", small);
    }
    for (const [key, value] of Object.entries(data)) node.dataset[key] = value ?? "";
  };

  /** Fill the table and put the best first; what has no score is last. */
  const show = (section, board, result) => {
    const body = section.querySelector("table tbody");
    const rows = new Map([...body.rows].map((row) => [row.dataset.run, row]));
    const order = board.models.map(({ run, ranked }, i) => ({ row: rows.get(run), i, ranked, ...result.models[i] }));
    for (const { row, mean, low, high, n, rank } of order) {
      const [, place, score, problems] = row.cells;
      cell(place, rank ? (rank[0] === rank[1] ? `${rank[0]}` : `${rank[0]}-${rank[1]}`) : "-", { v: rank?.[0] });
      const ends = low === null ? "" : `[${shown(board.metric, low)}, ${shown(board.metric, high)}]`;
      cell(score, mean === null ? "-" : shown(board.metric, mean), { v: mean, low, high }, ends);
      cell(problems, `${n}`, { v: n });
    }
    order.sort((a, b) => (a.mean === null) - (b.mean === null) || b.ranked - a.ranked || b.mean - a.mean || a.i - b.i);
    body.append(...order.map(({ row }) => row));
  };

  for (const section of document.querySelectorAll("section[data-dates]")) {
    const board = boards[section.dataset.dates], form = section.querySelector("form");
    const { after, newer } = form.elements, said = section.querySelector(".window-said");
    const names = [`after.${board.key}`, `newer.${board.key}`];
    let known = null, latest = 0;
    form.hidden = false;

    const day = () => (Number(after.value) ? board.days[Number(after.value) - 1] : "");
    const label = () => {
      const text = day() || "any day";
      form.querySelector("output").textContent = text;
      after.setAttribute("aria-valuetext", text);
    };
    const update = async () => {
      const now = ++latest;
      label();
      if (!known) {
        if (!day() && !newer?.checked) { said.textContent = ""; return; } // as the page came
        section.dataset.state = "waiting";
        try { known = table(board, await window.boardData.load(board.key, board.file)); } catch (error) {
          if (error) throw error;
          said.textContent = `The data of this board (${board.file}) cannot be loaded.`;
          return;
        }
        if (now !== latest) return;
      }
      const began = performance.now();
      const result = compute(board, known, day(), Boolean(newer?.checked));
      show(section, board, result);
      section.dataset.took = performance.now() - began;
      const unknown = board.models.filter(({ until }) => !until).length;
      said.textContent = `${plural(result.problems, "problem")} changed after ${day() || "any day"}`
        + (newer?.checked ? `; of each model only those after its cut-off, or its release where no cut-off is known${unknown ? `: ${plural(unknown, "model")} with neither ${unknown === 1 ? "has" : "have"} no score` : ""}.` : ".");
      section.dataset.state = "ready";
    };
    const changed = () => {
      state.set(names[0], [day()]);
      state.set(names[1], [newer?.checked ? "yes" : ""]);
      update();
    };
    form.addEventListener("input", changed);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      after.value = 0;
      if (newer) newer.checked = false;
      changed();
    });
    state.listen(() => {
      const wanted = state.get(names[0])[0] ?? "";
      after.value = Math.min(Number(after.max), board.days.filter((other) => other <= wanted).length);
      if (newer) newer.checked = state.get(names[1])[0] === "yes";
      update();
    });
  }
  window.datedBoards = { compute, table };
})();
