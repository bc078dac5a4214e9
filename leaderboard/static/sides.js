// Two answers to one problem side by side. The state is `a` and `b`, each RUN.SAMPLE; a RUN alone means
// its first sample that does not pass, or else its first.
"use strict";
(() => {
  const views = window.answerViews, state = window.siteState;
  const get = (id) => document.getElementById(id);
  const runs = new Map([...document.querySelectorAll("details.run")].map((run) => [
    run.dataset.run, run.querySelector("summary").textContent.replace(/\s+/g, " ").trim()]));
  const sides = ["a", "b"].map((name) => ({ name, run: get(`side-${name}`), sample: get(`sample-${name}`) }));
  const place = get("both");
  if (!runs.size) return;

  const option = (value, text) => views.make("option", { value }, text);
  const fill = (select, options, chosen) => {
    select.replaceChildren(...options.map(([value, text]) => option(value, text)));
    select.value = chosen;
    select.shown?.();
  };

  const wanted = ({ name }) => {
    const [run = "", sample = ""] = (state.get(name)[0] ?? "").split(".");
    return runs.has(run) ? { run, sample } : { run: "", sample: "" };
  };
  /** The side's answer; null where none is chosen or stored. */
  const answer = async (side) => {
    const { run, sample } = wanted(side);
    fill(side.run, [["", "choose"], ...runs], run);
    fill(side.sample, [], "");
    if (!run) return null;
    const { file, samples } = await views.samples(run);
    const words = new Map(samples.map((found) => [found, views.word(file, found)[0]]));
    const chosen = samples.find((found) => String(found.i) === sample)
      ?? samples.find((found) => words.get(found) !== "passes") ?? samples[0];
    if (!chosen) return { run, file, sample: null };
    fill(side.sample, samples.map((found) => [String(found.i), `${found.i}: ${words.get(found)}`]), String(chosen.i));
    return { run, file, sample: chosen };
  };

  const column = ({ name }, found) => {
    const title = name.toUpperCase();
    if (!found) return views.make("div", {}, views.make("h3", {}, title), views.make("p", {}, `Choose a run for ${title}.`));
    const head = views.make("h3", {}, `${title}: ${runs.get(found.run)}`);
    if (!found.sample) return views.make("div", {}, head, views.make("p", {}, "No sample is stored."));
    const [label, kind] = views.word(found.file, found.sample);
    return views.make("div", {}, head,
      views.make("p", {}, `Sample ${found.sample.i} `, views.make("span", { className: `badge ${kind}` }, label)),
      views.body(found.file, found.sample, true));
  };
  const code = (found) => (found?.sample?.code === undefined ? null : views.plain(found.file, found.sample.code));

  let latest = 0;
  const update = async () => {
    const now = ++latest;
    let found;
    try { found = await Promise.all(sides.map(answer)); } catch (error) {
      if (now === latest) place.replaceChildren(views.make("p", { className: "note" }, `The answers are in the file ${error.message}, which is not here.`));
      return;
    }
    if (now !== latest) return; // another choice was made meanwhile
    const [a, b] = found, [before, after] = found.map(code);
    if (!a && !b) { place.replaceChildren(views.make("p", {}, "Choose two runs to see an answer of each.")); return; }
    const parts = [views.make("div", { className: "sides" }, ...sides.map((side, index) => column(side, found[index])))];
    if (before !== null && after !== null) {
      parts.push(views.fold("From A's code to B's", () => views.diff(before, after, "Difference from A to B"), true));
    }
    place.replaceChildren(...parts);
    place.dataset.state = "ready";
  };

  for (const side of sides) {
    const choose = (sample) => { state.set(side.name, [sample && side.run.value ? `${side.run.value}.${sample}` : side.run.value]); update(); };
    window.combobox(side.run);
    side.run.addEventListener("change", () => choose(""));
    side.sample.addEventListener("change", () => choose(side.sample.value));
  }
  get("pick-sides").addEventListener("submit", (event) => event.preventDefault());
  get("sides").hidden = false;
  let first = true;
  state.listen(async () => {
    await update();
    if (first && wanted(sides[0]).run && !state.get("open").length) get("sides").scrollIntoView();
    first = false;
  });
})();
