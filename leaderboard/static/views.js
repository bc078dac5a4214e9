// Choosing base models and a task on the pages of methods and trainings. The state is in the URL:
// `base` has words of the base model's name, `task` a task.
"use strict";
(() => {
  const form = document.getElementById("pick-block");
  if (!form) return;
  const blocks = [...document.querySelectorAll("section[data-base]")];
  const { base, task } = form.elements;

  const apply = () => {
    const words = base.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = task?.value ?? "";
    let count = 0;
    for (const block of blocks) {
      const name = block.dataset.base.toLowerCase();
      const fits = words.every((word) => name.includes(word))
        && (!wanted || block.dataset.tasks.split(" ").includes(wanted));
      block.hidden = !fits;
      count += fits;
      for (const part of block.querySelectorAll("section[data-task]")) {
        part.hidden = Boolean(wanted) && part.dataset.task !== wanted;
      }
    }
    document.getElementById("pick-status").textContent = `${count} of ${window.plural(blocks.length, "base model")}`;
  };
  form.addEventListener("input", () => {
    apply();
    window.siteState.set("base", [base.value]);
    if (task) window.siteState.set("task", [task.value]);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  const restore = () => {
    const state = (name) => window.siteState.get(name)[0] ?? "";
    base.value = state("base");
    if (task) task.value = [...task.options].some((o) => o.value === state("task")) ? state("task") : "";
    apply();
  };
  window.siteState.listen(restore);
  document.addEventListener("DOMContentLoaded", apply);
})();
