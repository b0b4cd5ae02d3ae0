// Tables that Python computed, and sums of their rows: see bayes_intgen/report/explorer.py.
const decode = (key, value) => {
  if (typeof value?.float64 !== "string") return value;
  const bytes = Uint8Array.from(atob(value.float64), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float64Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
};
const page = JSON.parse(document.getElementById("explorer-data").textContent, decode);
const { actions, pairs, draws } = page;
// A log link: the logarithm of the outcome is a sum.
const products = page.link === "log", binary = page.kind === "binary";
const starts = actions.map((action) => action.start);
const isSupported = (k, step) => actions[k].reasons[step] === 0;
const moved = (steps, k, step) => steps.map((own, i) => i === k ? step : own);
const same = (one, other) => one.steps.every((step, k) => step === other.steps[k]);

const average = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
const band = (values, probability) => {
  const sorted = Float64Array.from(values).sort();
  return [(1 - probability) / 2, (1 + probability) / 2].map((p) => {
    const at = p * (sorted.length - 1), below = Math.floor(at), next = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (at - below) * (sorted[next] - sorted[below]);
  });
};

// A row of a table in every draw.
const rowOf = ({ functions, coefficients }, at) => {
  const size = coefficients.length / draws, out = new Float64Array(draws);
  for (let s = 0; s < draws; s++) {
    for (let i = 0; i < size; i++) out[s] += functions[at * size + i] * coefficients[s * size + i];
  }
  return out;
};
const add = (total, parts) => {
  for (const part of parts) for (let s = 0; s < draws; s++) total[s] += part[s];
  return total;
};
// Row of a pair's tables.
const cellOf = ({ actions: [j, k] }, steps) => steps[j] * actions[k].values.length + steps[k];
// Logarithm of the mean of exp(noise), from its values over those of normal noise.
const logMeanExp = (sd) => {
  const { cumulant_ratios: ratios, log_sds: [low, high] } = page.start, last = ratios.length - 1;
  const at = Math.min(Math.max((Math.log(sd) - low) / (high - low), 0), 1) * last, below = Math.min(Math.floor(at), last - 1);
  return sd ** 2 / 2 * (ratios[below] + (at - below) * (ratios[below + 1] - ratios[below]));
};
// A plan: the stops of all actions, and the mean outcome in every draw. Rows that it shares with a
// plan nearby are not computed again.
const planAt = (steps, near) => {
  const shared = (which) => near && which.every((k) => near.steps[k] === steps[k]);
  const parts = actions.map((action, k) => shared([k]) ? near.parts[k] : {
    effect: rowOf(action.effect, steps[k]), d: products ? rowOf(action.d, steps[k]) : null,
  });
  const surfaces = pairs.map((pair, i) => shared(pair.actions) ? near.surfaces[i] : rowOf(pair.effect, cellOf(pair, steps)));
  const mean = add(Float64Array.from(page.start.effect), [...parts.map((part) => part.effect), ...surfaces]);
  if (products) {
    const { sd, start } = page;
    const e = start.e[0] + actions.reduce((sum, action, k) => sum + action.e[steps[k]], 0);
    const d = add(Float64Array.from(start.d), parts.map((part) => part.d));
    for (let s = 0; s < draws; s++) mean[s] = Math.exp(mean[s] + logMeanExp(sd[s] * Math.sqrt(e * Math.exp(d[s] / e))));
  }
  return { steps: [...steps], parts, surfaces, mean };
};
// Ends of the band of a single outcome.
const singleOutcome = ({ steps, mean }) => [0, 1].map((end) => {
  const effect = products ? mean.map(Math.log) : mean, centre = average(effect);
  const variance = average(effect.map((value) => (value - centre) ** 2));
  const square = (2 * end - 1) * page.end ** 2 * variance + page.start.outcome_ends[end] + actions.reduce((sum, { outcome_ends: own, values }, k) => sum + own[end * values.length + steps[k]], 0);
  const value = centre + Math.sign(square) * Math.sqrt(Math.abs(square));
  return products ? Math.exp(value) : page.kind === "count" ? Math.max(Math.round(value), 0) : value;
});

// Whether no regimes reach a combination of two values, either of which is supported by itself.
const unreached = (pair, steps) => pair.unreached[cellOf(pair, steps)] > 0;
// Actions that a plan moves from the start although it is not known whether the rows support their
// values together: each is supported beside the start, but rows elsewhere do not link one of them.
const apart = (steps) => {
  const away = actions.map((_, k) => k).filter((k) => steps[k] !== starts[k] && isSupported(k, steps[k]));
  return away.length > 1 && away.some((k) => !actions[k].linked[steps[k]]) ? away : [];
};
