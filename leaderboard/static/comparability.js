// May two runs of a board be compared? The rules and the runs' facts are written by Python
// (recode_eval/comparison/comparability.py), which gives the same answer for every pair.
"use strict";
(() => {
  const filled = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const major = (version) => version.split(".")[0];

  /** Each test returns what is said where a fact differs; `limit` is a share and its text. */
  const tests = {
    equal: (rule, [one, two]) => (one === two ? [] : [filled(rule.text, { a: one, b: two })]),
    major: (rule, [one, two]) => (major(one) === major(two) ? [] : [filled(rule.text, { a: one, b: two })]),
    share: (rule, values, roles, limit) => values.flatMap(([share, value], i) =>
      (share > limit[0] ? [filled(rule.text, { value, role: roles[i], limit: limit[1] })] : [])),
    members: (rule, [one, two], roles, limit, problems) => {
      const first = new Set(one), second = new Set(two);
      const count = one.filter((i) => !second.has(i)).length + two.filter((i) => !first.has(i)).length;
      return count > (rule.tolerance ? limit[0] * problems : 0) ? [filled(rule.text, { count })] : [];
    },
  };

  /** What differs between the facts `a` and `b`, by the rules in their order: field, text, level. */
  const differences = (rules, a, b, roles, limit, problems) => {
    const found = [];
    for (const rule of rules) {
      if (found.some(({ what }) => rule.after.includes(what))) continue;
      const texts = tests[rule.test](rule, [a[rule.field], b[rule.field]], roles, limit, problems);
      found.push(...texts.map((text) => ({ what: rule.field, text, level: rule.level })));
    }
    return found;
  };

  window.comparability = { differences };
})();
