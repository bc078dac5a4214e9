// Sorting, filtering and the state in the URL. The state is the fragment, as a query string:
// `q`, one key per filter, `sort.TABLE=COLUMN.asc|desc` (COLUMN is a name, so that it stays right when
// columns are added), `open=...` (repeated). A checkbox that is ticked from the start (`data-usual`)
// is in the address when anything in its group differs.
"use strict";
(() => {
  const state = new URLSearchParams();
  const read = () => new URLSearchParams(location.hash.slice(1));
  const isState = () => location.hash.includes("=");
  const listeners = [];

  // One change of the address per event: browsers refuse floods of them.
  let waiting = false;
  const write = () => {
    if (waiting) return;
    waiting = true;
    queueMicrotask(() => {
      waiting = false;
      const text = state.toString();
      const url = text ? `#${text}` : location.pathname + location.search;
      try { history.replaceState(null, "", url); } catch { if (text) location.replace(url); }
    });
  };
  const set = (key, values) => {
    state.delete(key);
    for (const value of values) if (value) state.append(key, value);
    write();
  };
  /** `1 run` or `3 runs`: the same as Python's (recode_eval/terminal.py). */
  window.plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
  window.siteState = { get: (key) => state.getAll(key), set, listen: (f) => listeners.push(f) };

  // Sorting ---------------------------------------------------------------------------------
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
  const content = (cell) => cell.dataset.v ?? cell.textContent.trim();

  const nameOf = (header) => header.dataset.col ?? header.textContent.trim();
  const sort = (table, name, direction) => {
    const header = [...table.tHead.rows[0].cells].find((cell) => cell.querySelector("button.sort") && nameOf(cell) === name);
    if (!header) return;
    const column = header.cellIndex;
    const numeric = header.dataset.kind === "number";
    const sign = direction === "desc" ? -1 : 1;
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => {
      const text = content(row.cells[column]);
      const number = text === "" ? NaN : Number(text);
      return { row, key: numeric ? number : text, none: numeric ? Number.isNaN(number) : !text };
    });
    keyed.sort((a, b) => {
      if (a.none || b.none) return a.none - b.none; // what has no value is last either way
      return sign * (numeric ? a.key - b.key : collator.compare(a.key, b.key));
    });
    body.append(...keyed.map(({ row }) => row));
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", direction === "desc" ? "descending" : "ascending");
  };

  const original = new Map();
  for (const table of document.querySelectorAll("table[data-sortable]")) {
    original.set(table, [...table.tBodies[0].rows]);
    table.tHead.addEventListener("click", (event) => {
      const header = event.target.closest("th");
      if (!header || !event.target.closest("button.sort")) return;
      const before = header.getAttribute("aria-sort");
      const first = header.dataset.kind === "number" ? "descending" : "ascending";
      const next = before === null ? first : before === "ascending" ? "descending" : "ascending";
      const short = next === "descending" ? "desc" : "asc";
      sort(table, nameOf(header), short);
      set(`sort.${table.id}`, [`${nameOf(header)}.${short}`]);
    });
  }
  const unsort = (table) => {
    for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
    table.tBodies[0].append(...original.get(table));
  };

  // Filtering -------------------------------------------------------------------------------
  const forms = [...document.querySelectorAll("form[data-filters]")];
  const prefix = (form) => ("prefixed" in form.dataset || forms.indexOf(form) ? `${form.dataset.filters}.` : "");
  const boxes = (form, name) => [...form.querySelectorAll("input[type=checkbox], input[type=radio]")].filter((i) => !name || i.name === name);
  const chosen = (form, name) => boxes(form, name).filter((i) => i.checked).map((i) => i.value);
  const usual = (input) => input.hasAttribute("data-usual");
  /** What the address says of a group: nothing while it is as it was at first; "-" for no box. */
  const told = (form, name) => {
    const group = boxes(form, name);
    if (group.every((input) => input.checked === usual(input))) return [];
    const values = chosen(form, name).map((value) => value || "all");
    return values.length ? values : ["-"];
  };
  /** Show the columns that are ticked, unless the rows shown have nothing but dashes there. */
  const arrange = (form) => {
    const table = document.getElementById(form.dataset.filters);
    const shown = [...table.tBodies[0].rows].filter((row) => !row.hidden);
    for (const box of form.querySelectorAll("input[data-shows]")) {
      const header = [...table.tHead.rows[0].cells].find((cell) => cell.dataset.col === box.value);
      if (!header) continue;
      const used = !shown.length || shown.some((row) => row.cells[header.cellIndex].dataset.v !== "");
      const hidden = !(box.checked && used);
      if (header.hidden === hidden) continue;
      for (const row of table.rows) row.cells[header.cellIndex].hidden = hidden;
    }
  };

  const apply = (form) => {
    const table = document.getElementById(form.dataset.filters);
    const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    const names = [...new Set(boxes(form).map((i) => i.name))];
    const reveals = new Set(boxes(form).filter((i) => "reveals" in i.dataset && !i.checked).map((i) => i.value));
    const filters = names.filter((name) => !boxes(form, name).some((i) => "reveals" in i.dataset || "shows" in i.dataset));
    const wanted = filters.map((name) => [name, new Set(chosen(form, name).filter(Boolean))]).filter(([, set]) => set.size);
    const from = form.elements.from?.value || "";
    const to = form.elements.to?.value || "";
    let count = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      const { date } = row.dataset;
      const fits = !reveals.has(row.dataset.reveal) && words.every((word) => text.includes(word))
        && wanted.every(([name, set]) => set.has(row.dataset[name]))
        && (!from || (date && date >= from)) && (!to || (date && date <= to));
      row.hidden = !fits;
      count += fits;
    }
    const [tab] = chosen(form, "board");
    if (tab !== undefined) table.classList.toggle("all", tab === "");
    arrange(form);
    const status = document.querySelector(`[data-status="${form.dataset.filters}"]`);
    status.textContent = `${count} of ${window.plural(table.tBodies[0].rows.length, "row")}`;
    for (const facet of form.querySelectorAll("details.facet")) {
      if (!facet.querySelector(".chosen")) continue;
      const number = facet.querySelectorAll("input:checked").length
        + [...facet.querySelectorAll("input[type=date]")].filter((i) => i.value).length;
      facet.querySelector(".chosen").textContent = number ? `(${number})` : "";
    }
    return names;
  };
  for (const form of forms) {
    const changed = () => {
      const names = apply(form);
      set(`${prefix(form)}q`, [form.elements.q.value]);
      for (const name of names) set(`${prefix(form)}${name}`, told(form, name));
      for (const name of ["from", "to"]) {
        if (form.elements[name]) set(`${prefix(form)}${name}`, [form.elements[name].value]);
      }
    };
    form.addEventListener("input", changed);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", (event) => {
      event.preventDefault(); // the browser's own reset comes after its event
      for (const input of form.querySelectorAll("input")) {
        if (["checkbox", "radio"].includes(input.type)) input.checked = usual(input);
        else input.value = "";
      }
      const table = document.getElementById(form.dataset.filters);
      if (original.has(table)) unsort(table);
      set(`sort.${table.id}`, []);
      set("pick", []);
      changed();
      for (const listener of listeners) listener();
    });
  }
  // One open list of choices at a time, and Escape closes it.
  const facets = [...document.querySelectorAll("details.facet")];
  for (const facet of facets) {
    facet.addEventListener("toggle", () => {
      if (facet.open) for (const other of facets) if (other !== facet) other.open = false;
    });
    facet.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { facet.open = false; facet.querySelector("summary").focus(); }
    });
  }
  document.addEventListener("click", (event) => {
    for (const facet of facets) if (!facet.contains(event.target)) facet.open = false;
  });

  // Sections that are open ------------------------------------------------------------------
  const kept = [...document.querySelectorAll("details[data-keep]")];
  const open = new Map(kept.map((item) => [item, item.open]));
  let restoring = false;
  for (const item of kept) {
    item.addEventListener("toggle", () => {
      if (restoring) return;
      set("show", kept.filter((i) => i.open && !open.get(i)).map((i) => i.dataset.keep));
      set("hide", kept.filter((i) => !i.open && open.get(i)).map((i) => i.dataset.keep));
    });
  }

  // CSV of what is shown --------------------------------------------------------------------
  const csvCell = (text) => {
    const safe = /^[=+\-@\t\r]/.test(text) && Number.isNaN(Number(text)) ? `'${text}` : text;
    return `"${safe.replaceAll('"', '""')}"`;
  };
  for (const button of document.querySelectorAll("button[data-csv]")) {
    button.addEventListener("click", () => {
      const table = document.getElementById(button.dataset.csv);
      const rows = [table.tHead.rows[0], ...[...table.tBodies[0].rows].filter((row) => !row.hidden)];
      const line = (row) => [...row.cells].filter((c) => !c.hidden && !c.classList.contains("tick")).map((c) => csvCell(c.textContent.replace(/\s+/g, " ").trim())).join(",");
      const blob = new Blob([rows.map(line).join("\r\n") + "\r\n"], { type: "text/csv" });
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${button.dataset.csv}.csv`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
  }

  // Restoring -------------------------------------------------------------------------------
  const restore = () => {
    if (location.hash && !isState()) return; // a plain anchor
    for (const key of [...state.keys()]) state.delete(key);
    for (const [key, value] of read()) state.append(key, value);
    for (const form of forms) {
      const values = (name) => state.getAll(prefix(form) + name);
      form.elements.q.value = values("q")[0] ?? "";
      for (const input of boxes(form)) {
        const found = values(input.name);
        input.checked = found.length ? found.includes(input.value || "all") : usual(input);
      }
      for (const input of form.querySelectorAll("input[type=radio][data-usual]")) {
        if (!chosen(form, input.name).length && !boxes(form, input.name).some((i) => i.checked)) input.checked = true;
      }
      for (const input of form.querySelectorAll("input[type=date]")) input.value = values(input.name)[0] ?? "";
      apply(form);
    }
    for (const table of original.keys()) {
      const [, column, direction] = /^(.+)\.(asc|desc)$/.exec(state.get(`sort.${table.id}`) ?? "") ?? [];
      if (column) sort(table, column, direction);
      else if (table.querySelector("[aria-sort]")) unsort(table);
    }
    restoring = true;
    for (const item of kept) {
      const name = item.dataset.keep;
      item.open = open.get(item) ? !state.getAll("hide").includes(name) : state.getAll("show").includes(name);
    }
    setTimeout(() => { restoring = false; });
    for (const listener of listeners) listener();
  };
  window.addEventListener("hashchange", restore);
  document.addEventListener("DOMContentLoaded", restore);
})();
