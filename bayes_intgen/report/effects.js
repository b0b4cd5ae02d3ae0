// Data of the page, and the joint effect of plans in every draw: see bayes_intgen/report/explorer.py.
const numbers = (text) => {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float64Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
};
const page = JSON.parse(document.getElementById("explorer-data").textContent);
const draws = page.draws;
const level = numbers(page.level_of_draws);
const noise = { sd: numbers(page.noise.sd), df: page.noise.df };
for (const name of ["quantiles", "deviation"]) {
  if (name in page.noise) noise[name] = numbers(page.noise[name]);
}
// Law of the noise by its characteristic function: see bayes_intgen/models/noise_shape.py.
const law = page.noise.law;
if (law) {
  for (const name of ["nodes", "weights", "bounds"]) law[name] = numbers(law[name]);
  law.angles = law.nodes.map(Math.asinh);
  for (const name of ["shape_values", "shape_deviations"]) noise[name] = numbers(page.noise[name]);
}
// A log link: the logarithm of the outcome is a sum.
const products = page.link === "log";
const unitLevels = numbers(page.unit_levels);
const fitted = "deviation" in noise;
const actions = page.actions.map((data) => {
  const out = { name: data.name, start: data.start, labels: data.labels, named: data.named };
  for (const name of ["values", "functions", "coefficients", "unit_functions", "unit_coefficients", "hats", "knot_values", "deviations", "shape_values", "shape_deviations", "reasons", "linked"]) {
    if (name in data) out[name] = numbers(data[name]);
  }
  out.supported = out.reasons.map((reason) => reason === 0);
  return out;
});
const pairs = page.pairs.map((data) => {
  const out = { actions: data.actions };
  for (const name of ["first", "second", "coefficients", "rows", "columns", "unreached"]) out[name] = numbers(data[name]);
  return out;
});

// Row `step` of a basis matrix times the coefficients of every draw: one function in every draw.
const times = (matrix, step, ofDraws, count = draws) => {
  const size = ofDraws.length / count, out = new Float64Array(count);
  for (let s = 0; s < count; s++) {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += matrix[step * size + i] * ofDraws[s * size + i];
    out[s] = sum;
  }
  return out;
};
const part = (k, step) => {
  const action = actions[k];
  const out = {
    phi: times(action.functions, step, action.coefficients),
    unit: times(action.unit_functions, step, action.unit_coefficients),
  };
  if (fitted) {
    out.deviation = times(action.hats, step, action.deviations);
    out.estimate = 0;
    const size = action.knot_values.length;
    for (let i = 0; i < size; i++) out.estimate += action.hats[step * size + i] * action.knot_values[i];
    if (law) {
      out.shape = [0, 0, 0];
      out.shapeMoved = new Float64Array(3 * draws);
      for (let i = 0; i < size; i++) {
        const hat = action.hats[step * size + i];
        if (!hat) continue;
        for (let q = 0; q < 3; q++) {
          out.shape[q] += hat * action.shape_values[q * size + i];
          for (let s = 0; s < draws; s++) out.shapeMoved[3 * s + q] += hat * action.shape_deviations[(3 * s + q) * size + i];
        }
      }
    }
  }
  return out;
};
// Interaction of a pair of actions in every draw, at steps of all actions.
const surface = (pair, steps, count = draws) => {
  const [j, k] = pair.actions, size = pair.coefficients.length / count;
  const products = Float64Array.from({ length: size }, (_, i) => pair.first[steps[j] * size + i] * pair.second[steps[k] * size + i]);
  return times(products, 0, pair.coefficients, count);
};
// Whether no regimes reach a combination of two values, either of which is supported by itself.
const unreached = (pair, steps) => {
  const [j, k] = pair.actions, width = pair.columns[pair.columns.length - 1] + 1;
  return actions[j].supported[steps[j]] && actions[k].supported[steps[k]]
    && pair.unreached[pair.rows[steps[j]] * width + pair.columns[steps[k]]] > 0;
};
// In every draw, from the parts of all actions and the interactions of all pairs: the mean outcome,
// and the mean and standard deviation of the outcome of one unit of the population.
const outcomeOf = (parts, surfaces) => {
  const mean = Float64Array.from(level), sd = Float64Array.from(noise.sd);
  const unit = Float64Array.from(unitLevels);
  for (const own of parts) {
    for (let s = 0; s < draws; s++) { mean[s] += own.phi[s]; unit[s] += own.unit[s]; }
  }
  for (const psi of surfaces) for (let s = 0; s < draws; s++) mean[s] += psi[s];
  for (let s = 0; s < draws; s++) unit[s] += mean[s];
  let estimate = 1;
  if (fitted) {
    estimate = page.noise.knot_value;
    const deviation = Float64Array.from(noise.deviation);
    for (const own of parts) {
      estimate += own.estimate;
      for (let s = 0; s < draws; s++) deviation[s] += own.deviation[s];
    }
    for (let s = 0; s < draws; s++) sd[s] *= Math.sqrt(estimate * Math.exp(deviation[s] / estimate));
  }
  // Mean of an outcome whose logarithm is normal; other laws are in the levels and functions.
  if (products) for (let s = 0; s < draws; s++) mean[s] = Math.exp(mean[s] + sd[s] ** 2 / 2);
  const shape = law && page.kind === "continuous" ? lawOf(parts, estimate) : null;
  if (shape) for (let s = 0; s < draws; s++) sd[s] = noise.sd[s] * shape.scale[s];
  return { mean, unit, sd, shape };
};
// A plan: the steps of all actions, and the outcome there in every draw. Parts that it shares with
// a plan nearby are not computed again.
const planAt = (steps, near) => {
  const shared = (which) => near && which.every((k) => near.steps[k] === steps[k]);
  const parts = steps.map((step, k) => shared([k]) ? near.parts[k] : part(k, step));
  const surfaces = pairs.map((pair, i) => shared(pair.actions) ? near.surfaces[i] : surface(pair, steps));
  return { steps: [...steps], parts, surfaces, outcome: outcomeOf(parts, surfaces) };
};
// Actions that a plan moves from the start although it is not known whether the rows support their
// values together: each is supported beside the start, but rows elsewhere do not link one of them.
const starts = actions.map((action) => action.start);
const apart = (steps) => {
  const away = actions.map((_, k) => k).filter((k) => steps[k] !== starts[k] && actions[k].supported[steps[k]]);
  return away.length > 1 && away.some((k) => !actions[k].linked[steps[k]]) ? away : [];
};
const moved = (steps, k, step) => steps.map((own, i) => i === k ? step : own);
const same = (one, other) => one.steps.every((step, k) => step === other.steps[k]);
// Change of the mean outcome between two plans in every draw. Parts that they share cancel exactly.
const change = (to, from) => {
  if (products) return to.outcome.mean.map((v, s) => v - from.outcome.mean[s]);
  const out = new Float64Array(draws);
  const differs = (which) => which.some((k) => to.steps[k] !== from.steps[k]);
  const add = (after, before) => { for (let s = 0; s < draws; s++) out[s] += after[s] - before[s]; };
  to.parts.forEach((own, k) => { if (differs([k])) add(own.phi, from.parts[k].phi); });
  pairs.forEach((pair, i) => { if (differs(pair.actions)) add(to.surfaces[i], from.surfaces[i]); });
  return out;
};
