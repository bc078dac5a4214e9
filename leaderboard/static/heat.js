// A heat map of problems by runs, drawn when it is opened: what passed, from the board's data
// (recode_eval/leaderboard/comparing.py). Columns are problems, easiest first; rows are runs, best first.
// The arrow keys and the pointer move a cell, whose words stand below; Enter or a click opens the answers.
// The tables on the page hold the same for screen readers.
"use strict";
(() => {
  const ROW = 14, LEAST = 3, MOST = 14; // pixels of a row, and of a column

  const draw = (place, data) => {
    const order = place.dataset.runs.split(" ").filter((key) => data.runs[key]);
    const table = order.map((key) => window.boardData.rates(data.runs[key]));
    const mean = data.ids.map((_, i) => {
      const known = table.map((row) => row[i]).filter((rate) => rate !== null);
      return known.length ? known.reduce((a, b) => a + b, 0) / known.length : -1;
    });
    const columns = data.ids.map((_, i) => i).sort((a, b) => mean[b] - mean[a] || a - b);
    const names = document.createElement("ol"), canvas = document.createElement("canvas");
    names.className = "heat-names";
    names.append(...order.map((key) => Object.assign(document.createElement("li"), { textContent: data.runs[key].name, title: data.runs[key].name })));
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    canvas.setAttribute("aria-label", "Heat map of problems by runs. Arrow keys move, Enter opens the answers.");
    const said = document.createElement("p");
    said.className = "status";
    said.setAttribute("role", "status");
    const box = document.createElement("div");
    box.className = "heat";
    const frame = document.createElement("div");
    frame.className = "heat-frame";
    frame.append(canvas);
    box.append(names, frame);
    place.replaceChildren(box, said);

    let width = 1, at = { row: 0, column: 0 };
    const paint = () => {
      width = Math.max(LEAST, Math.min(MOST, Math.floor(frame.clientWidth / columns.length)));
      const scale = window.devicePixelRatio || 1;
      const size = [width * columns.length, ROW * order.length];
      canvas.width = Math.min(32000, size[0] * scale);
      canvas.height = Math.min(32000, size[1] * scale);
      canvas.style.setProperty("width", `${size[0]}px`);
      canvas.style.setProperty("height", `${size[1]}px`);
      const pen = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
      const [fill, rail, line] = ["--meter", "--badge", "--text"].map((name) => style.getPropertyValue(name).trim());
      pen.scale(canvas.width / size[0], canvas.height / size[1]);
      table.forEach((row, y) => columns.forEach((column, x) => {
        const rate = row[column], gap = width > 4 ? 1 : 0;
        pen.globalAlpha = 1;
        pen.fillStyle = rail;
        pen.fillRect(x * width, y * ROW, width - gap, ROW - 1);
        if (rate === null) return;
        pen.globalAlpha = Math.max(0, Math.min(1, rate));
        pen.fillStyle = fill;
        pen.fillRect(x * width, y * ROW, width - gap, ROW - 1);
      }));
      pen.globalAlpha = 1;
      pen.strokeStyle = line;
      pen.lineWidth = 2;
      pen.strokeRect(at.column * width + 0.5, at.row * ROW + 0.5, width, ROW - 1);
    };
    const say = () => {
      const problem = columns[at.column], rate = table[at.row][problem];
      const share = rate === null ? "no score" : data.runs[order[at.row]].values ? rate.toFixed(3) : `${(100 * rate).toFixed(0)} % pass`;
      said.textContent = `${data.runs[order[at.row]].name}, ${data.ids[problem]}: ${share}`;
    };
    const move = (row, column) => {
      at = { row: Math.max(0, Math.min(order.length - 1, row)), column: Math.max(0, Math.min(columns.length - 1, column)) };
      paint();
      say();
    };
    const open = () => { location.href = `../${data.pages[columns[at.column]]}#open=${order[at.row]}`; };
    const cell = (event) => {
      const box = canvas.getBoundingClientRect();
      return [Math.floor((event.clientY - box.top) / ROW), Math.floor((event.clientX - box.left) / width)];
    };
    canvas.addEventListener("pointermove", (event) => {
      const [row, column] = cell(event);
      if (row !== at.row || column !== at.column) move(row, column);
    });
    canvas.addEventListener("click", (event) => { move(...cell(event)); open(); });
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === "Enter") open();
      else if (step) { event.preventDefault(); move(at.row + step[0], at.column + step[1]); }
    });
    new ResizeObserver(paint).observe(frame);
    new MutationObserver(paint).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    move(0, 0);
    place.dataset.state = "ready";
  };

  for (const details of document.querySelectorAll("details.heat-map")) {
    const place = details.querySelector("[data-board]");
    const show = async () => {
      if (!details.open || place.dataset.state) return;
      place.dataset.state = "waiting";
      try { draw(place, await window.boardData.load(place.dataset.board, place.dataset.file)); } catch {
        place.dataset.state = "";
        place.textContent = `The data (${place.dataset.file}) cannot be loaded.`;
      }
    };
    details.addEventListener("toggle", show);
    show();
  }
})();
