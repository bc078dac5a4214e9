// Two runs ticked in a table lead to their comparison. The state is `pick=RUN`, in the order ticked.
"use strict";
(() => {
  const state = window.siteState;
  const boxes = new Map([...document.querySelectorAll("input[data-pick]")].map((box) => [box.value, box]));
  const place = document.getElementById("picked");
  const name = (key) => boxes.get(key).dataset.pick;

  const show = () => {
    const chosen = state.get("pick").filter((key) => boxes.has(key)).slice(-2);
    for (const [key, box] of boxes) box.checked = chosen.includes(key);
    place.replaceChildren();
    if (!chosen.length) place.append("Tick two runs to compare them.");
    if (chosen.length === 1) place.append(`Tick another run to compare it with ${name(chosen[0])}.`);
    if (chosen.length < 2) return;
    const link = document.createElement("a");
    link.href = `compare.html#a=${chosen[0]}&b=${chosen[1]}`;
    link.textContent = `Compare ${name(chosen[0])} with ${name(chosen[1])}`;
    place.append(link);
  };
  for (const [key, box] of boxes) {
    box.addEventListener("change", () => {
      const others = state.get("pick").filter((other) => other !== key && boxes.has(other));
      state.set("pick", box.checked ? [...others, key].slice(-2) : others);
      show();
    });
  }
  state.listen(show);
})();
