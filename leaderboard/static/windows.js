// Scores and ranks of a board's models on a part of its problems, for a slider: fast enough for 200
// models of 1,000 problems. The same numbers as recode_eval/stats/estimates.py (`cluster_mean`) and
// recode_eval/leaderboard/ranking.py, which say why each is as it is. Shares (0 to 1), not percent.
//
// The caller sorts the problems so that each model counts from a place on: `rows[i]` has the values of
// model i in that order (NaN: no score), `starts[i]` its first place that counts, `clusters` numbers from 0.
"use strict";
(() => {
  const stats = window.compareStats;
  const FEW_MISSES = 0.7, NO_SPREAD = 1e-12;
  const METHODS = {
    wilson: "cluster jackknife, Wilson",
    allEqual: stats.METHODS.allEqual,
    noValues: "no values",
    oneCluster: stats.METHODS.oneCluster,
    dominantCluster: stats.METHODS.dominantCluster,
    noSpread: "no spread between clusters: no interval",
  };

  const wilson = (share, inverse, quantile) => {
    const square = quantile ** 2 * inverse, centre = share + square / 2;
    const reach = Math.sqrt(square * share * (1 - share) + square ** 2 / 4);
    return [(centre - reach) / (1 + square), (centre + reach) / (1 + square)];
  };

  /** The mean of values within [low, high] from place `start` on, with its clustered interval; NaN does
   *  not count. `clusters` are numbers from 0. */
  const mean = (values, clusters, { confidence = 0.95, bounds: [low, high] = [0, 1], start = 0 } = {}) => {
    const sizes = new Float64Array(clusters.length), totals = new Float64Array(clusters.length), lost = new Float64Array(clusters.length);
    let n = 0, lowest = Infinity, highest = -Infinity;
    for (let p = start; p < values.length; p++) {
      const value = values[p], c = clusters[p];
      if (Number.isNaN(value)) continue;
      const next = totals[c] + value; // as `sum` of stats.js, without its list
      lost[c] += Math.abs(totals[c]) >= Math.abs(value) ? totals[c] - next + value : value - next + totals[c];
      totals[c] = next;
      sizes[c] += 1;
      n += 1;
      lowest = Math.min(lowest, value);
      highest = Math.max(highest, value);
    }
    const found = (method, value = null, ends = [null, null]) => ({ n, mean: value, low: ends[0], high: ends[1], method });
    if (!n) return found(METHODS.noValues);
    const each = [];
    sizes.forEach((size, c) => { if (size) each.push({ size, total: totals[c] + lost[c] }); });
    const count = each.length;
    const value = Math.min(Math.max(stats.sum(each.map(({ total }) => total)) / n, lowest), highest);
    if (count === 1) return found(METHODS.oneCluster, value);
    const tail = (1 - confidence) / 2;
    if (lowest === highest && (lowest === low || lowest === high)) {
      const width = (high - low) * (1 - tail ** (1 / count));
      return found(METHODS.allEqual, value, lowest === low ? [low, low + width] : [high - width, high]);
    }
    const squares = stats.sum(each.map(({ size, total }) => ((total - size * value) / (n - size)) ** 2));
    const error = Math.sqrt(squares * (count - 1) / count);
    if (error <= NO_SPREAD * Math.max(Math.abs(lowest), Math.abs(highest))) return found(METHODS.noSpread, value);
    const effective = n * n / stats.sum(each.map(({ size }) => size * size));
    if (effective < stats.FEWEST_EFFECTIVE) return found(METHODS.dominantCluster, value);
    const share = (value - low) / (high - low), variance = share * (1 - share);
    const quantile = stats.tQuantile((1 + confidence) / 2, effective - 1);
    const misses = effective * variance, weight = misses ** 2 / (misses ** 2 + FEW_MISSES ** 2);
    const end = tail ** (1 / count), asClusters = (1 - end) / (end * quantile ** 2);
    const inverse = weight * (error / (high - low)) ** 2 / variance + (1 - weight) * asClusters;
    const [from, to] = wilson(share, inverse, quantile).map((x) => low + (high - low) * x);
    return found(METHODS.wilson, value, [Math.min(Math.max(from, low), value), Math.max(Math.min(to, high), value)]);
  };

  /** Numbers of clusters in the order in which they come from the end: those from a place on are the
   *  first ones. */
  const numbered = (clusters) => {
    const numbers = new Map(), of = new Int32Array(clusters.length);
    for (let p = clusters.length - 1; p >= 0; p--) {
      if (!numbers.has(clusters[p])) numbers.set(clusters[p], numbers.size);
      of[p] = numbers.get(clusters[p]);
    }
    return of;
  };

  /** What all pairs of models share that are compared on the problems from place `start` on. */
  const shape = (of, start) => {
    let groups = 0;
    for (let p = start; p < of.length; p++) groups = Math.max(groups, of[p] + 1);
    const sizes = new Float64Array(groups);
    for (let p = start; p < of.length; p++) sizes[of[p]] += 1;
    const n = of.length - start;
    return { start, of, sizes, n, effective: n * n / sizes.reduce((all, size) => all + size * size, 0), rows: [] };
  };

  /** Note in each window a model's sums per cluster, and the places where it has no value. */
  const sum = (windows, i, row, first) => {
    const totals = new Float64Array(row.length), gaps = [];
    let p = row.length - 1;
    for (const window of windows) { // the latest first: each adds to the one before
      if (window.start < first) break;
      for (; p >= window.start; p--) {
        if (Number.isNaN(row[p])) gaps.push(p);
        else totals[window.of[p]] += row[p];
      }
      window.rows[i] = { totals: totals.slice(0, window.sizes.length), gaps: gaps.slice() };
    }
  };

  /** Mean difference, t and degrees of freedom of a pair; null where the short way will not do. */
  const fast = (window, i, j, rows, scratch) => {
    const a = window.rows[i], b = window.rows[j], rowA = rows[i], rowB = rows[j];
    let { sizes, n, effective } = window;
    const groups = sizes.length, changes = scratch.changes, totalsA = a.totals, totalsB = b.totals;
    let regular = true, present = groups, total = 0;
    for (let c = 0; c < groups; c++) total += changes[c] = totalsA[c] - totalsB[c];
    if (a.gaps.length || b.gaps.length) {
      regular = false;
      scratch.sizes.set(sizes);
      sizes = scratch.sizes;
      for (const p of a.gaps) {
        const c = window.of[p];
        sizes[c] -= 1;
        if (!Number.isNaN(rowB[p])) { changes[c] += rowB[p]; total += rowB[p]; }
      }
      for (const p of b.gaps) {
        if (Number.isNaN(rowA[p])) continue; // done already
        const c = window.of[p];
        sizes[c] -= 1;
        changes[c] -= rowA[p];
        total -= rowA[p];
      }
      let squares = 0;
      n = present = 0;
      for (let c = 0; c < groups; c++) { n += sizes[c]; squares += sizes[c] * sizes[c]; present += sizes[c] > 0; }
      effective = n * n / squares;
    }
    if (present < 2 || effective < stats.FEWEST_EFFECTIVE) return null;
    const value = total / n;
    let squares = 0;
    for (let c = 0; c < groups; c++) {
      const left = (changes[c] - sizes[c] * value) / (n - sizes[c]);
      squares += left * left;
    }
    const error = Math.sqrt(squares * (present - 1) / present);
    if (!(error > 1e-9)) return null; // perhaps rounding: the careful way decides
    return { i, j, mean: value, p: null, t: Math.abs(value) / error, df: effective - 1, regular };
  };

  /** The possible ranks [best, worst] of every model; see the head for the arguments. */
  const ranks = (rows, clusters, starts, { alpha = 0.05, bounds: [low, high] = [0, 1] } = {}) => {
    const count = rows.length, of = numbered(clusters);
    const windows = new Map([...new Set(starts)].sort((a, b) => b - a).map((start) => [start, shape(of, start)]));
    rows.forEach((row, i) => sum(windows.values(), i, row, starts[i]));
    const scratch = { changes: new Float64Array(clusters.length), sizes: new Float64Array(clusters.length) };
    const pairs = [];
    for (let i = 0; i < count; i++) {
      for (let j = i + 1; j < count; j++) {
        const window = windows.get(Math.max(starts[i], starts[j]));
        if (!window.n) continue;
        const found = fast(window, i, j, rows, scratch);
        if (found) { pairs.push(found); continue; }
        const both = [];
        for (let p = window.start; p < clusters.length; p++) if (!Number.isNaN(rows[i][p]) && !Number.isNaN(rows[j][p])) both.push(p);
        const d = stats.difference(both.map((p) => rows[j][p]), both.map((p) => rows[i][p]), both.map((p) => clusters[p]), { low, high });
        if (d && d.p !== null) pairs.push({ i, j, mean: d.mean, p: d.p });
      }
    }
    const better = new Int32Array(count), worse = new Int32Array(count);
    for (const { i, j, mean: value } of rejected(pairs, alpha)) {
      if (value > 0) { worse[i] += 1; better[j] += 1; } else { worse[j] += 1; better[i] += 1; }
    }
    return rows.map((_, i) => [1 + better[i], count - worse[i]]);
  };

  /** A t above which p is at most `p`, and not much below it. */
  const surely = (p, df) => {
    let low = 0, high = 2;
    while (2 * stats.tUpperTail(high, df) > p) { low = high; high *= 2; }
    while (high - low > 0.01 * high) {
      const middle = (low + high) / 2;
      if (2 * stats.tUpperTail(middle, df) > p) low = middle; else high = middle;
    }
    return high;
  };

  /** The pairs whose p, adjusted by Holm's procedure, is at most `alpha`. Where t alone decides (p is at
   *  most alpha over the number of pairs, or above alpha), p is not computed. */
  const rejected = (pairs, alpha) => {
    const all = pairs.length, sure = [], open = [], limits = new Map();
    const never = surely(alpha, 1e9) * 0.98; // no t-distribution has less in its tails than the normal
    const always = (df) => {
      if (!limits.has(df)) limits.set(df, surely(alpha / all, df));
      return limits.get(df);
    };
    for (const pair of pairs) {
      if (pair.p === null && pair.t < never) continue;
      if (pair.p === null && pair.regular && pair.t > always(pair.df)) { sure.push(pair); continue; }
      pair.p ??= 2 * stats.tUpperTail(pair.t, pair.df);
      if (pair.p <= alpha / all) sure.push(pair);
      else if (pair.p <= alpha) open.push(pair);
    }
    open.sort((x, y) => x.p - y.p);
    let rank = sure.length;
    for (const pair of open) {
      if ((all - rank) * pair.p > alpha) break;
      sure.push(pair);
      rank += 1;
    }
    return sure;
  };

  window.boardWindows = { METHODS, mean, ranks };
})();
