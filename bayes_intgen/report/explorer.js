// Sliders, answers at their positions, and the curve along one action.
const find = (id) => document.getElementById(id);
const make = (kind, properties, parent) => parent.appendChild(Object.assign(document.createElement(kind), properties));
let plan = planAt(starts), baseline = plan, along = 0, probability = page.level, soon = 0;
const go = (steps) => { plan = planAt(steps, plan); update(); };

// All digits of what is shown, for tests and other programs.
const show = (place, text, values) => {
  place.textContent = text;
  place.dataset.value = values.map(String).join(" ");
};
// Numbers to the digits that an interval of draws supports.
const showDraws = (row, values, sign) => {
  const ends = band(values, probability), mean = average(values);
  const decimals = ends[1] > ends[0] ? decimalsFor(ends[1] - ends[0]) : 0;
  const text = (v) => Number.isNaN(v) ? "–" : formatToUncertainty(v, decimals, sign);
  show(document.querySelector(`#${row} [data-of=mean]`), text(mean), [mean]);
  show(document.querySelector(`#${row} [data-of=band]`), `${text(ends[0])} to ${text(ends[1])}`, ends);
  return `Mean ${text(mean)}, interval ${text(ends[0])} to ${text(ends[1])}`;
};
const showShare = (place, gain, isSame) => {
  const share = gain.filter((v) => v > 0).length / draws;
  show(find(place), isSame || Number.isNaN(gain[0]) ? "–" : formatProbability(share), [share]);
};
// Costs are not numbers at levels without a price.
const costOf = ({ steps }) => page.costs.reduce((sum, own, k) => sum + own[steps[k]], 0);
const profitOf = (own) => {
  const cost = costOf(own);
  return own.mean.map((v) => page.value * v - cost);
};

const sliders = actions.map((action, k) => {
  const box = make("div", { className: "slider" }, document.querySelector(".sliders"));
  const top = make("div", { className: "top" }, box);
  make("label", { htmlFor: `action-${k}`, textContent: action.name }, top);
  const output = make("output", { htmlFor: `action-${k}` }, top);
  const last = action.values.length - 1;
  const input = make("input", { type: "range", id: `action-${k}`, min: 0, max: last, step: 1 }, box);
  // Firefox keeps positions over a reload; the page starts from the default point.
  input.autocomplete = "off";
  input.value = starts[k];
  const ends = make("div", { className: "ends" }, box);
  const labelSteps = !action.labels ? [] : last < 5 ? action.labels.map((_, step) => step) : [0, last];
  for (const step of labelSteps) make("span", { textContent: valueText(action, step) }, ends);
  input.addEventListener("input", () => {
    choose(k);
    go(moved(plan.steps, k, Number(input.value)));
  });
  input.addEventListener("focus", () => { if (along !== k) { choose(k); drawProfile(); } });
  make("option", { value: k, textContent: action.name }, find("along"));
  return { input, output };
});
const choose = (k) => { along = k; find("along").value = String(k); };

const percent = (share) => `${Number((100 * share).toFixed(4))}%`;
const levels = [...new Set([0.5, 0.8, 0.9, 0.95, page.level])].sort();
for (const l of levels) make("option", { value: l, textContent: percent(l) }, find("level"));
find("level").value = String(probability);

const update = () => {
  const { steps, mean } = plan;
  sliders.forEach(({ input, output }, k) => {
    const { labels, values } = actions[k], text = valueText(actions[k], steps[k]);
    input.value = steps[k];
    input.setAttribute("aria-valuetext", text);
    show(output, text, [labels ? labels[steps[k]] : values[steps[k]]]);
  });
  const spoken = showDraws("effect", mean);
  if (!binary) {
    const ends = singleOutcome(plan), decimals = decimalsFor(ends[1] - ends[0]);
    const text = (v) => page.kind === "count" ? formatNumber(v) : formatToUncertainty(v, decimals);
    show(document.querySelector("#outcome [data-of=band]"), `${text(ends[0])} to ${text(ends[1])}`, ends);
  }
  const change = mean.map((v, s) => v - baseline.mean[s]), isSame = same(plan, baseline);
  showDraws("change", change, true);
  showShare("above", change, isSame);
  if (find("profit")) {
    const profit = profitOf(plan), before = profitOf(baseline), gain = profit.map((v, s) => v - before[s]);
    showDraws("profit", profit);
    showDraws("gain", gain, true);
    showShare("gainful", gain, isSame);
  }
  if (find("cost")) {
    const cost = costOf(plan);
    show(find("cost"), Number.isNaN(cost) ? "–" : formatNumber(cost), [cost]);
  }
  for (const place of document.querySelectorAll("#explorer .level")) place.textContent = percent(probability);
  const far = actions.flatMap((a, k) => isSupported(k, steps[k]) ? [] : [`${a.name} (${page.reasons[a.reasons[steps[k]]]})`]);
  for (const pair of pairs) {
    if (unreached(pair, steps)) far.push(`no regimes reach this combination of ${pair.actions.map((k) => actions[k].name).join(" and ")}`);
  }
  const names = apart(steps).map((k) => actions[k].name);
  if (names.length) far.push(`the values of ${names.join(" and ")} together`);
  find("beyond").hidden = !far.length;
  find("beyond").textContent = far.length ? `Not supported, so the answer rests on the model and its prior: ${far.join("; ")}.` : "";
  find("baseline").textContent = "Baseline: " + actions.map((a, k) => `${a.name} ${valueText(a, baseline.steps[k])}`).join(", ") + ".";
  clearTimeout(soon);
  soon = setTimeout(() => { find("spoken").textContent = spoken; }, 600);
  drawProfile();
};

// ---- the picture ----

let W = 520;
const H = 300, right = 12, top = 22, bottom = 44;
const shape = (kind, attributes, parent, text) => {
  const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  parent.appendChild(element);
  return element;
};
const ticks = (low, high, count) => {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((v) => v >= raw * (1 - 1e-9));
  const out = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * (high - low); i++) out.push(i * step);
  return out;
};
// Widest range so far along each action: a changing axis would hide the changes of the curve.
let axis = null;
const drawProfile = () => {
  const { steps } = plan;
  const action = actions[along], last = action.values.length - 1, stops = [...action.values.keys()];
  const zones = stops.map((step) => {
    const at = moved(steps, along, step);
    if (isSupported(along, step)) return apart(at).length || pairs.some((pair) => pair.actions.includes(along) && unreached(pair, at)) ? "outside" : "";
    return action.reasons[step] === page.between ? "between" : "outside";
  });
  const ofStops = stops.map((step) => planAt(moved(steps, along, step), plan).mean);
  const lines = { mean: ofStops.map(average), wide: ofStops.map((own) => band(own, probability)), narrow: ofStops.map((own) => band(own, 0.5)) };
  const lows = Math.min(...lines.wide.map((e) => e[0])), highs = Math.max(...lines.wide.map((e) => e[1]));
  axis = axis ? [Math.min(axis[0], lows), Math.max(axis[1], highs)] : [lows, highs];
  const marks = ticks(axis[0], axis[1], 5), gap = marks.length > 1 ? marks[1] - marks[0] : 1;
  const low = Math.floor(axis[0] / gap + 1e-9) * gap, high = Math.ceil(axis[1] / gap - 1e-9) * gap;
  const svg = find("profile");
  // One unit of the picture is one pixel, so that text keeps its size.
  W = Math.max(svg.parentElement.clientWidth, 240);
  const left = Math.max(40, ...[low, high, low + gap].map((v) => 10 + 6.8 * formatNumber(v).length));
  // Levels are evenly spaced, whatever their codes.
  const room = (W - left - right) / (last + 1);
  const xAt = (step) => action.labels ? left + room * (step + 0.5)
    : left + (action.values[step] - action.values[0]) / (action.values[last] - action.values[0]) * (W - left - right);
  const x = (v) => left + (v - action.values[0]) / (action.values[last] - action.values[0]) * (W - left - right);
  const y = (v) => H - bottom - (v - low) / (high - low || 1) * (H - top - bottom);
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
  svg.setAttribute("aria-label", `Joint effect on ${page.outcome} along ${action.name}`);
  for (const v of ticks(low, high, 6)) {
    shape("line", { class: "grid", x1: left, x2: W - right, y1: y(v), y2: y(v) }, svg);
    shape("text", { class: "y", x: left - 6, y: y(v) + 4 }, svg, formatNumber(v));
  }
  const marked = action.labels ? action.labels.map((label, step) => [xAt(step), shortened(label, room / 7)])
    : ticks(action.values[0], action.values[last], W / 80).map((v) => [x(v), formatNumber(v)]);
  for (const [at, label] of marked) {
    shape("line", { class: "tick", x1: at, x2: at, y1: H - bottom, y2: H - bottom + 4 }, svg);
    shape("text", { class: "x", x: at, y: H - bottom + 17 }, svg, label);
  }
  // Stretches of unsupported steps, up to halfway to the next ones.
  const edge = (i) => action.labels ? left + room * i : x((action.values[Math.max(i - 1, 0)] + action.values[Math.min(i, last)]) / 2);
  for (let i = 0; i <= last; i++) {
    if (!zones[i]) continue;
    const first = i;
    while (i < last && zones[i + 1] === zones[first]) i++;
    for (const kind of ["beyond", zones[first]]) shape("rect", { class: kind, x: edge(first), y: top, width: edge(i + 1) - edge(first), height: H - top - bottom }, svg);
  }
  const short = (text) => shortened(text, Math.floor(W / 9));
  shape("text", { class: "x label", x: (left + W - right) / 2, y: H - 6 }, svg, short(action.name));
  shape("text", { class: "label", x: 4, y: 12 }, svg, short(page.outcome));
  const path = (values) => values.map((v, i) => `${i ? "L" : "M"}${x(action.values[i]).toFixed(1)} ${y(v).toFixed(1)}`).join("");
  const area = (ends) => path(ends.map((e) => e[0])) + [...stops].reverse()
    .map((i) => `L${x(action.values[i]).toFixed(1)} ${y(ends[i][1]).toFixed(1)}`).join("") + "Z";
  const intervals = (ends) => ends.map((e, i) => `M${xAt(i).toFixed(1)} ${y(e[0]).toFixed(1)}V${y(e[1]).toFixed(1)}`).join("");
  if (action.labels) {
    shape("path", { class: "set-range", d: intervals(lines.wide) }, svg);
    if (probability > 0.5) shape("path", { class: "set-inner", d: intervals(lines.narrow) }, svg);
    shape("path", { class: "set-dot", d: lines.mean.map((v, i) => `M${xAt(i).toFixed(1)} ${y(v).toFixed(1)}h0`).join("") }, svg);
  } else {
    shape("path", { class: "set-band", d: area(lines.wide) }, svg);
    if (probability > 0.5) shape("path", { class: "set-band", d: area(lines.narrow) }, svg);
    shape("path", { class: "set", d: path(lines.mean) }, svg);
  }
  const here = xAt(steps[along]);
  shape("line", { class: "here", x1: here, x2: here, y1: top, y2: H - bottom, "stroke-dasharray": "2 3" }, svg);
  shape("circle", { class: "spot", cx: here, cy: y(average(plan.mean)), r: 4.5 }, svg);
};

find("along").addEventListener("change", (event) => { choose(Number(event.target.value)); drawProfile(); });
find("level").addEventListener("change", (event) => { probability = Number(event.target.value); update(); });
find("rebase").addEventListener("click", () => { baseline = plan; update(); });
find("reset").addEventListener("click", () => go(starts));
for (const button of document.querySelectorAll("[data-stops]")) {
  button.hidden = false;
  button.addEventListener("click", () => { go(button.dataset.stops.split(" ").map(Number)); find("explorer").scrollIntoView(); });
}
let width = innerWidth;
addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawProfile(); } });
find("interactive").hidden = false;
update();
