// A list to choose from by typing, over a <select>: `combobox(select)` puts a text field with a list
// in its place (the ARIA pattern "editable combobox with list autocomplete"). The select stays,
// hidden, and holds options and value: a choice changes it and sends its event `change`; whoever
// changes it otherwise calls `select.shown()`. Every word typed must be in an option's text.
"use strict";
(() => {
  const MOST = 100; // options drawn at once
  const PAGE = 10; // options that PageUp and PageDown move by

  const make = (name, attributes, text = "") => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    return node;
  };

  window.combobox = (select) => {
    const label = select.closest("label"), id = `${select.id}-list`;
    const name = label.firstChild.textContent.trim();
    const input = make("input", {
      type: "text", role: "combobox", id: `${select.id}-field`, autocomplete: "off", spellcheck: "false",
      "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": id,
    });
    const list = make("ul", { role: "listbox", id, "aria-label": name });
    const status = make("span", { role: "status", class: "sr" });
    const box = make("div", { class: "combo" });
    list.hidden = select.hidden = true;
    label.htmlFor = input.id;
    label.replaceWith(box);
    label.append(input);
    box.append(label, list, status);

    let items = [], active = -1;
    const isOpen = () => !list.hidden;
    const chosen = () => select.selectedOptions[0];
    const write = () => { input.value = chosen()?.value ? chosen().text : ""; input.placeholder = "Type to search"; };

    const mark = (index) => {
      items[active]?.node.classList.remove("active");
      active = index;
      const node = items[active]?.node;
      if (!node) { input.removeAttribute("aria-activedescendant"); return; }
      node.classList.add("active");
      input.setAttribute("aria-activedescendant", node.id);
      node.scrollIntoView({ block: "nearest" });
    };
    const draw = (words) => {
      const fitting = [...select.options].filter((option) => option.value
        && words.every((word) => option.text.toLowerCase().includes(word)));
      items = fitting.slice(0, MOST).map((option, index) => ({
        option,
        node: make("li", { role: "option", id: `${id}-${index}`, "aria-selected": String(option.selected) }, option.text),
      }));
      list.replaceChildren(...items.map(({ node }) => node));
      const rest = fitting.length - items.length;
      if (!fitting.length || rest) {
        list.append(make("li", { role: "option", "aria-disabled": "true", "aria-selected": "false", class: "more" },
          rest ? `${rest} more: type to find them` : "Nothing has these words"));
      }
      status.textContent = `${fitting.length} of ${[...select.options].filter(({ value }) => value).length}`;
    };
    const open = (words = []) => {
      list.hidden = false;
      input.setAttribute("aria-expanded", "true");
      draw(words);
      const at = items.findIndex(({ option }) => option.selected);
      mark(words.length ? Math.min(0, items.length - 1) : at);
    };
    const close = () => {
      list.hidden = true;
      input.setAttribute("aria-expanded", "false");
      status.textContent = "";
      mark(-1);
      write();
    };
    const choose = (option) => {
      const changed = select.value !== option.value;
      select.value = option.value;
      close();
      if (changed) select.dispatchEvent(new Event("change", { bubbles: true }));
    };

    const move = (by) => {
      if (!isOpen()) { open(); if (active < 0) mark(by > 0 ? 0 : items.length - 1); return; }
      if (!items.length) return;
      const single = Math.abs(by) === 1;
      const next = active < 0 ? (by > 0 ? 0 : items.length - 1) : active + by;
      mark(single ? (next + items.length) % items.length : Math.min(Math.max(next, 0), items.length - 1));
    };
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: PAGE, PageUp: -PAGE };
    input.addEventListener("keydown", (event) => {
      if (event.key in steps) { move(steps[event.key]); event.preventDefault(); }
      else if (event.key === "Enter") {
        event.preventDefault(); // or it would send the form
        if (isOpen() && items[active]) choose(items[active].option);
      } else if (event.key === "Escape" && isOpen()) { close(); event.preventDefault(); }
    });
    input.addEventListener("input", () => open(input.value.toLowerCase().split(/\s+/).filter(Boolean)));
    input.addEventListener("focus", () => input.select());
    input.addEventListener("click", () => { if (!isOpen()) { open(); input.select(); } }); // what is typed replaces it
    input.addEventListener("blur", close);
    list.addEventListener("pointerdown", (event) => event.preventDefault()); // the field keeps the focus
    list.addEventListener("click", (event) => {
      const found = items.find(({ node }) => node === event.target);
      if (found) choose(found.option);
    });
    select.shown = write;
    write();
  };
})();
