// Statistics of a paired comparison; the same numbers as recode_eval/comparison/differences.py and
// problems.py and recode_eval/stats/estimates.py, which say why each is as it is. Shares (0 to 1), not percent.
//
// Student's t: the regularised incomplete beta function by its continued fraction, evaluated with
// the modified Lentz method (NIST DLMF 8.17.22 and 3.10; Lentz 1976; Thompson and Barnett 1986).
// Gamma: Lanczos' approximation with g = 7 and nine terms (Lanczos 1964), about 15 digits.
"use strict";
(() => {
  const METHODS = {
    t: "cluster jackknife, t",
    allEqual: "all equal: Clopper-Pearson bound on clusters",
    noChange: "no difference: Clopper-Pearson on clusters",
    oneCluster: "one cluster: no interval",
    dominantCluster: "one cluster has nearly all values: no interval",
    equalChange: "equal differences: Clopper-Pearson on clusters",
  };
  const FEWEST_EFFECTIVE = 1.25; // clusters of equal size that would be worth as much
  const FALSE_DISCOVERIES = 0.05;
  const MOST_FLIPPED = 13; // 2^13 is the most that the library enumerates
  const SUM_DIGITS = 1e12;

  /** The sum without the rounding errors of the way (Neumaier 1974). */
  const sum = (values) => {
    let total = 0, lost = 0;
    for (const value of values) {
      const next = total + value;
      lost += Math.abs(total) >= Math.abs(value) ? total - next + value : value - next + total;
      total = next;
    }
    return total + lost;
  };

  // Student's t -----------------------------------------------------------------------------
  const LANCZOS = [
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
    -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6,
    1.5056327351493116e-7,
  ];
  /** ln Gamma(x) for x > 0. */
  const logGamma = (x) => {
    if (x < 0.5) return logGamma(x + 1) - Math.log(x);
    const base = x + 6.5;
    let series = LANCZOS[0];
    for (let i = 1; i < LANCZOS.length; i++) series += LANCZOS[i] / (x - 1 + i);
    return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(base) - base + Math.log(series);
  };

  /** The continued fraction of I_x(a, b); converges fast for x < (a + 1) / (a + b + 2). */
  const betaFraction = (a, b, x) => {
    const away = (value) => (Math.abs(value) < 1e-300 ? 1e-300 : value);
    let c = 1, d = 1 / away(1 - (a + b) * x / (a + 1)), fraction = d;
    for (let m = 1; m < 10000; m++) {
      const even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
      d = 1 / away(1 + even * d);
      c = away(1 + even / c);
      fraction *= c * d;
      const odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
      d = 1 / away(1 + odd * d);
      c = away(1 + odd / c);
      fraction *= c * d;
      if (Math.abs(c * d - 1) < 1e-16) break;
    }
    return fraction;
  };

  /** P(T > t) for t >= 0 with `df` degrees of freedom: half of I_x(df/2, 1/2), x = df/(df + t^2). */
  const tUpperTail = (t, df) => {
    const a = df / 2, b = 0.5, ratio = t * t / df;
    const x = 1 / (1 + ratio), rest = ratio / (1 + ratio); // rest is 1 - x without cancellation
    if (rest === 0) return 0.5;
    const front = Math.exp(
      -a * Math.log1p(ratio) + b * Math.log(rest) + logGamma(a + b) - logGamma(a) - logGamma(b));
    return x < (a + 1) / (a + b + 2)
      ? 0.5 * front * betaFraction(a, b, x) / a
      : 0.5 * (1 - front * betaFraction(b, a, rest) / b);
  };

  const quantiles = new Map();
  /** The t that a share `p` >= 0.5 of the distribution lies below; by bisection. */
  const tQuantile = (p, df) => {
    const key = `${p} ${df}`;
    if (!quantiles.has(key)) {
      let low = 0, high = 1;
      while (tUpperTail(high, df) > 1 - p) high *= 2;
      for (;;) {
        const middle = (low + high) / 2;
        if (middle <= low || middle >= high) break;
        if (tUpperTail(middle, df) > 1 - p) low = middle; else high = middle;
      }
      quantiles.set(key, (low + high) / 2);
    }
    return quantiles.get(key);
  };

  // The clustered difference ----------------------------------------------------------------
  const clusterSums = (values, clusters) => {
    const groups = new Map();
    values.forEach((value, i) => {
      if (!groups.has(clusters[i])) groups.set(clusters[i], []);
      groups.get(clusters[i]).push(value);
    });
    return [...groups.values()].map((group) => ({ size: group.length, total: sum(group) }));
  };

  /** Mean, interval and p-value of the changes, each within [-reach, reach]. */
  const change = (values, clusters, confidence, reach) => {
    const groups = clusterSums(values, clusters), count = groups.length, n = values.length;
    const lowest = values.reduce((a, b) => Math.min(a, b)), highest = values.reduce((a, b) => Math.max(a, b));
    const mean = Math.min(Math.max(sum(groups.map((g) => g.total)) / n, lowest), highest);
    const effective = n * n / sum(groups.map((g) => g.size ** 2));
    const found = (method, low = null, high = null, error = null, p = null) => (
      { n, clusters: count, effective, mean, low, high, error, p, method });
    if (count === 1) return found(METHODS.oneCluster);
    // Where all clusters agree, t would claim certainty: 0 of G, or G of G, by Clopper-Pearson.
    const width = 1 - ((1 - confidence) / 2) ** (1 / count);
    if (lowest === highest && Math.abs(lowest) === reach) {
      const inner = reach - 2 * reach * width, luck = 2 ** (1 - count);
      return lowest < 0
        ? found(METHODS.allEqual, -reach, -inner, null, luck)
        : found(METHODS.allEqual, inner, reach, null, luck);
    }
    const squares = sum(groups.map((g) => ((g.total - g.size * mean) / (n - g.size)) ** 2)); // the jackknife
    const error = Math.sqrt(squares * (count - 1) / count);
    if (error <= 1e-12 * Math.max(Math.abs(lowest), Math.abs(highest))) {
      // Room for the clusters that were not seen; they may have changed as far as the range goes.
      const luck = (reach / (reach + Math.abs(mean))) ** count;
      return found(
        values.some((value) => value !== 0) ? METHODS.equalChange : METHODS.noChange,
        mean - width * (reach + mean), mean + width * (reach - mean), null, Math.min(1, 2 * luck));
    }
    if (effective < FEWEST_EFFECTIVE) return found(METHODS.dominantCluster);
    const margin = tQuantile((1 + confidence) / 2, effective - 1) * error;
    const low = Math.max(mean - margin, -reach), high = Math.min(mean + margin, reach);
    return found(METHODS.t, low, high, error, 2 * tUpperTail(Math.abs(mean) / error, effective - 1));
  };

  /** B minus A over paired values within [low, high]; null where there is no pair. */
  const difference = (a, b, clusters, { confidence = 0.95, low = 0, high = 1 } = {}) => {
    if (!a.length) return null;
    const found = change(a.map((old, i) => b[i] - old), clusters, confidence, high - low);
    return { ...found, a: sum(a) / a.length, b: sum(b) / b.length };
  };

  // Exact tests -----------------------------------------------------------------------------
  const logChoose = (n, k) => logGamma(n + 1) - logGamma(k + 1) - logGamma(n - k + 1);

  /** Two-sided p of Fisher's exact test: splits of all passes as unlikely as this or more. */
  const fisher = (old, n, now, m) => {
    const passes = old + now, whole = logChoose(n + m, passes);
    const chance = (x) => Math.exp(logChoose(n, x) + logChoose(m, passes - x) - whole);
    const least = Math.max(0, passes - m), most = Math.min(n, passes), seen = chance(old) * (1 + 1e-7);
    const chances = Array.from({ length: most - least + 1 }, (_, i) => chance(least + i));
    return Math.min(1, sum(chances.filter((x) => x <= seen)));
  };

  /** 1 for a problem that B fixed, -1 for one that it broke, else 0. `counts`: passes and samples of
   *  A, passes and samples of B. False discovery rate by Benjamini and Hochberg, over those problems
   *  whose samples do not all pass or all fail (recode_eval/comparison/problems.py). */
  const changedProblems = (counts) => {
    const tests = counts.map(([old, n, now, m], i) => ({ i, passes: old + now, all: n + m, p: fisher(old, n, now, m), moved: now * n - old * m }))
      .filter((test) => test.passes > 0 && test.passes < test.all).sort((x, y) => x.p - y.p);
    const last = tests.findLastIndex((test, rank) => test.p * tests.length / (rank + 1) <= FALSE_DISCOVERIES);
    const found = counts.map(() => 0);
    tests.slice(0, last + 1).forEach((test) => { found[test.i] = Math.sign(test.moved); });
    return found;
  };

  /** Two-sided p of the sign-flip test over all 2^G ways; null for one cluster and for more than 13,
   *  where the library draws at random. */
  const signFlip = (changes, clusters) => {
    const sums = clusterSums(changes, clusters).map((group) => group.total);
    if (sums.length < 2 || sums.length > MOST_FLIPPED) return null;
    const whole = (value) => Math.round(value * SUM_DIGITS); // equal sums are equal, whatever the order
    const observed = whole(sum(sums));
    const ways = 2 ** sums.length;
    let below = 0, above = 0;
    for (let way = 0; way < ways; way++) {
      const flipped = whole(sum(sums.map((value, i) => (way >> i & 1 ? -value : value))));
      below += flipped <= observed;
      above += flipped >= observed;
    }
    return Math.min(1, 2 * Math.min(below, above) / ways);
  };

  /** pass@k of a problem with `passed` of `n` samples: 1 - C(n - passed, k) / C(n, k). */
  const passAt = (n, passed, k) => {
    if (n < k) return null;
    if (k === 1) return passed / n;
    let none = 1;
    for (let i = 0; i < k; i++) none *= Math.max(n - passed - i, 0) / (n - i);
    return 1 - none;
  };

  window.compareStats = {
    FEWEST_EFFECTIVE, METHODS, MOST_FLIPPED, changedProblems, difference, fisher, passAt, signFlip, sum, tQuantile, tUpperTail,
  };
})();
