// The best plan among the steps of the sliders, by dynamic programming and coordinate ascent.
//
// The posterior mean is a sum over components of actions that interact. Merging their options, in
// order of cost, finds the best plan within a budget (Nemhauser and Ullmann, 1969). Ascent from
// several plans follows where components are too large for a full list, and under a log link, where
// the mean is no sum.

// Cells of the total cost, each of which keeps its best plan, and options of a component.
const CELLS = 20000, MAX_OPTIONS = 65000;
// Plans that are tried and from which the ascent starts, with some draws and steps of each action.
const MAX_TRIED = 2000, MAX_STARTS = 4, FEW_DRAWS = 100, FEW_STEPS = 33;
// At the end: neighbours of each step, and operations of a sweep, which limit the number of draws.
const WINDOW = 10, MAX_OPERATIONS = 1e8;
const MAX_SWEEPS = 50, ROUNDING = 1e-9;

const meanOfDraws = (ofDraws) => {
  const size = ofDraws.length / draws, out = new Float64Array(size);
  ofDraws.forEach((v, i) => { out[i % size] += v / draws; });
  return out;
};
const dot = (matrix, step, vector) => vector.reduce((sum, v, i) => sum + v * matrix[step * vector.length + i], 0);
// Posterior means of the functions of one action at its steps, and of the weights of a pair.
const mains = actions.map((action) => {
  const mean = meanOfDraws(action.coefficients);
  return action.values.map((_, step) => dot(action.functions, step, mean));
});
const meanWeights = pairs.map((pair) => meanOfDraws(pair.coefficients));
const pairMean = (i, steps) => {
  const { actions: [j, k], first, second } = pairs[i], size = meanWeights[i].length;
  return meanWeights[i].reduce((sum, v, p) => sum + v * first[steps[j] * size + p] * second[steps[k] * size + p], 0);
};
const meanLevel = average(level);
const sumOfMeans = (steps) => {
  let sum = meanLevel;
  for (let k = 0; k < steps.length; k++) sum += mains[k][steps[k]];
  for (let i = 0; i < pairs.length; i++) sum += pairMean(i, steps);
  return sum;
};
// Mean of a product over evenly spaced draws.
const meanOfProducts = (count) => {
  const chosen = Array.from({ length: count }, (_, i) => Math.round(i * (draws - 1) / Math.max(count - 1, 1)));
  const pick = (values) => values && Float64Array.from(chosen, (s) => values[s]);
  const picked = pairs.map((pair) => {
    const size = pair.coefficients.length / draws;
    const rows = chosen.map((s) => [...pair.coefficients.subarray(s * size, (s + 1) * size)]);
    return { ...pair, coefficients: Float64Array.from(rows.flat()) };
  });
  const stored = actions.map(() => []);
  const at = (k, step) => stored[k][step] ??= (({ phi, deviation, estimate }) => ({ phi: pick(phi), deviation: pick(deviation), estimate }))(part(k, step));
  return (steps) => {
    const parts = steps.map((step, k) => at(k, step)), total = pick(level), deviation = pick(noise.deviation);
    let estimate = fitted ? page.noise.knot_value : 1;
    for (const own of parts) {
      for (let s = 0; s < count; s++) total[s] += own.phi[s];
      if (!fitted) continue;
      estimate += own.estimate;
      for (let s = 0; s < count; s++) deviation[s] += own.deviation[s];
    }
    for (const pair of picked) {
      const psi = surface(pair, steps, count);
      for (let s = 0; s < count; s++) total[s] += psi[s];
    }
    let sum = 0;
    for (let s = 0; s < count; s++) {
      const spread = fitted ? estimate * Math.exp(deviation[s] / estimate) : 1;
      sum += Math.exp(total[s] + noise.sd[chosen[s]] ** 2 * spread / 2);
    }
    return sum / count;
  };
};
const productMeans = new Map();
const meanOutcome = (count) => {
  if (!products) return sumOfMeans;
  if (!productMeans.has(count)) productMeans.set(count, meanOfProducts(count));
  return productMeans.get(count);
};

// Actions that interact, directly or through others.
const components = (() => {
  const label = actions.map((_, k) => k);
  for (const pair of pairs) {
    const [low, high] = pair.actions.map((k) => label[k]).sort((a, b) => a - b);
    label.forEach((own, k) => { if (own === high) label[k] = low; });
  }
  return [...new Set(label)].map((own) => label.flatMap((other, k) => other === own ? [k] : []));
})();
const evenly = (values, most) => {
  const last = values.length - 1, count = Math.min(values.length, most);
  return Array.from({ length: count }, (_, i) => values[Math.round(i * last / Math.max(count - 1, 1))]);
};
const combinations = (lists) => lists.reduce((all, own) => all.flatMap((plan) => own.map((step) => [...plan, step])), [[]]);
const costAt = (costs, steps) => steps.reduce((sum, step, k) => sum + costs[k][step], 0);

// Options of one component with their costs and worth, cheapest first.
const optionsOf = (component, { candidates, costs, beyond, weight, charge }) => {
  const most = Math.max(2, Math.floor(MAX_OPTIONS ** (1 / component.length) + 1e-9));
  const own = pairs.flatMap((pair, i) => component.includes(pair.actions[0]) ? [i] : []);
  const steps = [...starts];
  const options = [];
  for (const chosen of combinations(component.map((k) => evenly(candidates[k], most)))) {
    let cost = 0, mean = 0;
    component.forEach((k, i) => { steps[k] = chosen[i]; cost += costs[k][chosen[i]]; mean += mains[k][chosen[i]]; });
    if (!beyond && own.some((i) => unreached(pairs[i], steps))) continue;
    for (const i of own) mean += pairMean(i, steps);
    options.push({ chosen, cost, worth: weight * mean - charge * cost });
  }
  return options.sort((a, b) => a.cost - b.cost);
};
// Best sums of a state and an option per cell of the cost, without those that cost more for less.
const merged = (states, options, limit) => {
  const low = states[0].cost + options[0].cost;
  const high = Math.min(limit, states[states.length - 1].cost + options[options.length - 1].cost);
  const perUnit = CELLS / (high - low || 1);
  const worth = new Float64Array(CELLS + 1).fill(-Infinity), cost = new Float64Array(CELLS + 1);
  const from = new Int32Array(CELLS + 1), by = new Int32Array(CELLS + 1);
  for (let i = 0; i < states.length; i++) {
    for (let j = 0; j < options.length; j++) {
      const total = states[i].cost + options[j].cost;
      if (total > limit) break;
      const sum = states[i].worth + options[j].worth;
      const cell = Math.max(0, Math.min(CELLS, Math.floor((total - low) * perUnit)));
      if (sum > worth[cell] || (sum === worth[cell] && total < cost[cell])) {
        worth[cell] = sum; cost[cell] = total; from[cell] = i; by[cell] = j;
      }
    }
  }
  const out = [];
  for (let cell = 0; cell <= CELLS; cell++) {
    if (out.length ? worth[cell] > out[out.length - 1].worth : worth[cell] > -Infinity) {
      out.push({ cost: cost[cell], worth: worth[cell], from: states[from[cell]], option: options[by[cell]] });
    }
  }
  return out;
};
// Best plan of all components together.
const knapsack = (options, limit) => {
  const floors = options.map((own) => own[0].cost);
  let states = [{ cost: 0, worth: 0 }], rest = floors.reduce((sum, v) => sum + v, 0);
  for (let c = 0; c < options.length; c++) {
    rest -= floors[c];
    // What is left must pay for the cheapest options of the other components.
    const allowed = limit - rest;
    states = merged(states, merged([{ cost: 0, worth: 0 }], options[c], allowed - states[0].cost), allowed);
  }
  const steps = [];
  for (let state = states[states.length - 1], c = options.length - 1; c >= 0; state = state.from, c--) {
    components[c].forEach((k, i) => { steps[k] = state.option.option.chosen[i]; });
  }
  return steps;
};

// Coordinate ascent: one action moves, and another one pays for it or takes what is left.
const ascend = (steps, task, worthOf) => {
  let at = steps, worth = worthOf(at);
  for (let sweep = 0, before = -Infinity; sweep < MAX_SWEEPS && worth > before; sweep++) {
    before = worth;
    for (let k = 0; k < actions.length; k++) {
      const origin = at, paid = costAt(task.costs, origin);
      for (const step of task.candidates[k]) {
        const left = task.limit - paid + task.costs[k][origin[k]] - task.costs[k][step];
        const plans = left >= 0 ? [moved(origin, k, step)] : [];
        for (let j = 0; j < actions.length && step !== origin[k] && task.limit < Infinity; j++) {
          const pays = j === k ? undefined : costliest(task, j, left + task.costs[j][origin[j]]);
          if (pays !== undefined && pays !== origin[j]) plans.push(moved(moved(origin, k, step), j, pays));
        }
        for (const plan of plans) {
          const own = worthOf(plan);
          if (own > worth && task.feasible(plan)) { at = plan; worth = own; }
        }
      }
    }
  }
  return { steps: at, worth };
};
// Step of an action with the highest cost that is not above a limit.
const costliest = ({ byCost, costs }, k, limit) => {
  let low = -1, high = byCost[k].length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (costs[k][byCost[k][middle]] <= limit) low = middle; else high = middle;
  }
  return byCost[k][low];
};
// Feasible plans among even combinations of steps, or among random ones of many actions.
const spread = (task) => {
  const least = Math.floor(MAX_TRIED ** (1 / actions.length) + 1e-9);
  if (least > 2) return combinations(task.candidates.map((own) => evenly(own, least))).filter(task.feasible);
  let seed = 1;
  const random = (size) => { seed = (seed * 48271) % 2147483647; return Math.floor(seed / 2147483647 * size); };
  return Array.from({ length: MAX_TRIED }, () => task.candidates.map((own) => own[random(own.length)])).filter(task.feasible);
};

// Best plan given the costs of all steps, limits of each action, a budget, and the value of a unit of
// the outcome; or the reason why there is none.
const search = ({ costs, limits, budget, value, beyond }) => {
  const isAllowed = (k, step) => {
    const action = actions[k], at = action.values[step], [low, high] = limits[k];
    return at >= low && at <= high && (beyond || action.supported[step]);
  };
  const allowed = actions.map((action, k) => Array.from(action.values.keys()).filter((step) => isAllowed(k, step)));
  const empty = allowed.findIndex((own) => !own.length);
  if (empty >= 0) {
    return { problem: limits[empty].some(isFinite) ? `No ${beyond ? "" : "supported "}value of ${actions[empty].name} lies within its limits.`
      : `The rows support no value of ${actions[empty].name}: allow plans beyond the support.` };
  }
  // Steps that the rows support together.
  const candidates = allowed.map((own, k) => {
    const together = own.filter((step) => beyond || actions[k].linked[step]);
    return together.length ? together : own.filter((step) => step === starts[k]);
  });
  const limit = budget === null ? Infinity : budget + ROUNDING * Math.max(1, Math.abs(budget));
  const charge = value === null ? 0 : 1, weight = value ?? 1;
  const byCost = candidates.map((own, k) => [...own].sort((a, b) => costs[k][a] - costs[k][b]));
  const isSupported = (steps) => beyond || !(apart(steps).length || pairs.some((pair) => unreached(pair, steps)));
  const feasible = (steps) => costAt(costs, steps) <= limit && isSupported(steps);
  // Under a log link sums of logarithms give a plan to start from.
  const sums = products ? { weight: Math.sign(weight), charge: 0 } : { weight, charge };
  const task = { candidates, costs, beyond, limit, byCost, feasible, ...sums };
  const options = components.map((component) => optionsOf(component, task));
  const least = options.reduce((sum, own) => sum + (own.length ? own[0].cost : Infinity), 0);
  // Other steps are supported beside the start, one at a time.
  const single = allowed.flatMap((own, k) => own.map((step) => moved(starts, k, step)))
    .filter((steps) => feasible(steps) && steps.every((step, k) => isAllowed(k, step)));
  if (least > limit && !single.length) {
    return { problem: budget === null || least === Infinity ? "The rows support no plan: widen the limits, or allow plans beyond the support."
      : `The budget of ${formatNumber(budget)} pays for no plan: the cheapest one costs ${formatNumber(least)}.` };
  }
  const worthWith = (count) => {
    const mean = meanOutcome(count);
    return (steps) => weight * mean(steps) - (charge ? costAt(costs, steps) : 0);
  };
  const highest = (reached) => reached.reduce((a, b) => b.worth > a.worth ? b : a);
  const measured = (plans, worthOf) => plans.map((steps) => ({ steps, worth: worthOf(steps) }));
  const known = least <= limit ? [knapsack(options, limit)] : [];
  if (!products && components.every((own) => own.length < 3)) {
    const worthOf = worthWith(draws);
    return highest([...known.map((plan) => ascend(plan, task, worthOf)), ...measured(single, worthOf)]);
  }
  const rough = worthWith(Math.min(draws, FEW_DRAWS));
  const few = { ...task, candidates: candidates.map((own) => evenly(own, FEW_STEPS)) };
  const tried = measured(spread(few), rough).sort((a, b) => b.worth - a.worth).slice(0, MAX_STARTS);
  const reached = [...known, ...tried.map((own) => own.steps)].map((plan) => ascend(plan, few, rough));
  const peak = ascend(highest([...reached, ...measured(single, rough)]).steps, task, rough).steps;
  const near = { ...task, candidates: candidates.map((own, k) => own.filter((step) => Math.abs(step - peak[k]) <= WINDOW)) };
  const moves = actions.length * (2 * WINDOW + 1) * (budget === null ? 1 : actions.length);
  const perDraw = actions.length + meanWeights.reduce((sum, own) => sum + own.length, 0) + 30;
  const count = Math.min(draws, Math.max(FEW_DRAWS, Math.floor(MAX_OPERATIONS / (moves * perDraw))));
  return ascend(peak, near, worthWith(count));
};
