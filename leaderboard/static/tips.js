// Definitions of the heads of tables: HTML's popovers open and close by themselves (click, touch, Enter,
// Escape). This puts them beside their button, and opens them for a pointer that rests on it.
"use strict";
(() => {
  const GAP = 6, EDGE = 8, REST_MS = 200;
  let button = null, pinned = false, timer = 0;

  const place = (box) => {
    const at = button.getBoundingClientRect(), width = Math.min(352, innerWidth - 2 * EDGE);
    const below = at.bottom < innerHeight * 0.7;
    const set = (name, value) => box.style.setProperty(name, value);
    set("left", `${Math.max(EDGE, Math.min(at.left, innerWidth - width - EDGE))}px`);
    set("right", "auto");
    set("top", below ? `${at.bottom + GAP}px` : "auto");
    set("bottom", below ? "auto" : `${innerHeight - at.top + GAP}px`);
  };
  const boxOf = (one) => document.getElementById(one.getAttribute("popovertarget"));

  document.addEventListener("click", (event) => {
    const one = event.target.closest?.(".tip");
    if (!one) return;
    button = one;
    pinned = true;
    const box = boxOf(one);
    if (box) place(box);
  }, true);
  document.addEventListener("pointerover", (event) => {
    const one = event.target.closest?.(".tip");
    if (!one || event.pointerType !== "mouse") return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      const box = boxOf(one);
      if (!box?.showPopover || box.matches(":popover-open")) return;
      button = one;
      pinned = false;
      place(box);
      box.showPopover();
    }, REST_MS);
  });
  document.addEventListener("pointerout", (event) => {
    const one = event.target.closest?.(".tip");
    if (!one || event.pointerType !== "mouse") return;
    clearTimeout(timer);
    const box = boxOf(one);
    if (!pinned && box?.matches(":popover-open")) box.hidePopover();
  });
  // What scrolls away from its button says nothing.
  document.addEventListener("scroll", (event) => {
    const open = document.querySelector(".definition:popover-open");
    if (open && !open.contains(event.target)) open.hidePopover();
  }, true);
})();
