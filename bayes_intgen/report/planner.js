// Costs, a budget, and the best plan beside the user's own and the baseline.
const find = (id) => document.getElementById(id);
const make = (kind, properties, parent) => parent.appendChild(Object.assign(document.createElement(kind), properties));

const shareAbove = (values) => values.reduce((sum, v) => sum + (v > 0), 0) / values.length;
const shareText = (share) => share === 1 ? `> ${(1 - 1 / draws).toFixed(4)}`
  : share === 0 ? `< ${(1 / draws).toFixed(4)}` : share.toFixed(share > 0.995 || share < 0.005 ? 4 : 2);

// ---- inputs ----

// Fields of an action's cost per unit, or of the cost of each of its levels, and of its limits.
const costFields = actions.map(() => []), limitFields = actions.map(() => []);
const addField = (label, name, parent) => {
  const box = make("label", {}, parent);
  make("span", { textContent: `${label} ` }, box);
  // Firefox keeps what was typed over a reload.
  const field = make("input", { type: "number", step: "any", autocomplete: "off", value: "" }, box);
  field.setAttribute("aria-label", name);
  listen(field);
  return field;
};
const addFields = (k, slider, ends) => {
  const action = actions[k], costs = costFields[k];
  const box = action.labels ? make("div", { className: "costs" }, slider) : ends;
  if (action.named) {
    for (const label of action.labels) costs.push(addField(`cost of ${label}`, `Cost of ${action.name} at ${label}`, box));
    return;
  }
  if (!action.labels) {
    limitFields[k].push(addField("from", `Lowest ${action.name}`, ends), addField("to", `Highest ${action.name}`, ends));
    [0, action.values.length - 1].forEach((step, i) => { limitFields[k][i].placeholder = valueText(action, step); });
  }
  costs.push(addField("cost per unit", `Cost per unit of ${action.name}`, box));
};
let waiting = 0;
const listen = (field) => {
  field.addEventListener("change", () => answer());
  // While somebody types, the best plan follows at the first pause.
  field.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => answer(), 500); });
};
for (const id of ["budget", "value", "far"]) listen(find(id));

// The number in a field, null if it is empty; a problem otherwise.
const read = (field, name, problems) => {
  if (field.validity.badInput) problems.push(`${name} is not a number.`);
  return field.value === "" || field.validity.badInput ? null : Number(field.value);
};
// Costs of all steps, limits, the budget and the value of a unit; or the first problem with them.
const entered = () => {
  const problems = [];
  const costs = actions.map((action, k) => {
    const own = costFields[k].map((field) => {
      const name = field.getAttribute("aria-label"), cost = read(field, `“${name}”`, problems) ?? 0;
      if (cost < 0) problems.push(`“${name}” is negative: costs must be at least 0.`);
      return cost;
    });
    return action.values.map((v, step) => action.named ? own[step] : own[0] * v);
  });
  const limits = limitFields.map((own, k) => {
    const [low, high] = own.map((field) => read(field, `“${field.getAttribute("aria-label")}”`, problems));
    if (low > high && high !== null && low !== null) problems.push(`The limits of ${actions[k].name} are empty: ${formatNumber(low)} is above ${formatNumber(high)}.`);
    return [low ?? -Infinity, high ?? Infinity];
  });
  const budget = read(find("budget"), "“Budget”", problems), value = read(find("value"), "“Value”", problems);
  if (value === 0) problems.push("“Value” is 0: enter another number, or leave it empty.");
  const priced = costFields.some((own) => own.some((field) => Number(field.value) > 0));
  if (budget !== null && !priced) problems.push("A budget needs costs: enter the cost of an action.");
  if (problems.length) return { costs: actions.map(({ values }) => values.map(() => 0)), priced: false, value: null, problem: problems[0] };
  return { costs, limits, priced, budget, value, beyond: find("far").checked };
};

// ---- the best plan ----

const best = { input: null, plan: null, problem: "" };
let compared = null;
const solve = () => {
  clearTimeout(waiting);
  const input = entered(), { steps, problem } = input.problem ? input : search(input);
  Object.assign(best, { input, problem: problem ?? "", plan: steps ? planAt(steps) : null });
  comparePlans(...compared);
};

// The answer to what somebody entered, said aloud by a screen reader.
const answer = () => {
  solve();
  if (!best.plan) return;
  const values = actions.map((action, k) => `${action.name} ${valueText(action, best.plan.steps[k])}`);
  find("spoken").textContent = `Best plan: ${values.join(", ")}; mean ${formatNumber(average(best.plan.outcome.mean))}`;
};

// ---- the table ----

// Rows of the table: a name, the numbers of each plan, and how they are written.
const tableOf = (columns, probability) => {
  const { costs, value, priced } = best.input;
  const rows = [];
  const level = `${Number((100 * probability).toFixed(4))}%`;
  const addDraws = (name, ofColumns, sign) => {
    const ends = ofColumns.map((values) => values && band(values, probability));
    const widest = Math.max(0, ...ends.map((end) => end ? end[1] - end[0] : 0));
    const digits = widest > 0 ? decimalsFor(widest) : 0, text = (v) => formatToUncertainty(v, digits, sign);
    const means = ofColumns.map((values) => values && average(values));
    rows.push({ name, main: true, cells: means.map((v) => v === null ? null : { text: text(v), values: [v] }) });
    rows.push({ name: `${level} band`, cells: ends.map((end) => end && { text: `${text(end[0])} to ${text(end[1])}`, values: [...end] }) });
  };
  actions.forEach((action, k) => rows.push({
    name: action.name,
    cells: columns.map((plan) => plan && { text: valueText(action, plan.steps[k]), values: [action.labels ? action.labels[plan.steps[k]] : action.values[plan.steps[k]]] }),
  }));
  const spent = (plan) => costAt(costs, plan.steps);
  if (priced) rows.push({ name: "cost", cells: columns.map((plan) => plan && { text: formatNumber(spent(plan)), values: [spent(plan)] }) });
  addDraws(`mean ${page.outcome}`, columns.map((plan) => plan && plan.outcome.mean));
  const net = (plan) => plan.outcome.mean.map((v) => value * v - spent(plan));
  if (value !== null) addDraws("value minus cost", columns.map((plan) => plan && net(plan)));
  if (!best.plan) return rows;
  // Differences of the best plan from the two others.
  const others = (of) => columns.map((plan, i) => i !== 1 ? of(plan) : null);
  const gains = others((plan) => change(columns[1], plan));
  const addGains = (name, ofColumns) => {
    addDraws(name, ofColumns, true);
    rows.push({ name: "P(> 0)", cells: ofColumns.map((values, i) => values && { text: same(columns[i], columns[1]) ? "–" : shareText(shareAbove(values)), values: [shareAbove(values)] }) });
  };
  addGains("best plan minus this one", gains);
  if (value !== null) {
    addGains("difference of value minus cost", gains.map((own, i) => own && own.map((v) => value * v - spent(columns[1]) + spent(columns[i]))));
  }
  return rows;
};
const comparePlans = (plan, baseline, probability) => {
  if (!compared) {
    best.input = entered();
    // After the page is shown: under a log link the search takes up to a few seconds.
    setTimeout(solve);
  }
  compared = [plan, baseline, probability];
  find("trouble").hidden = !best.problem;
  find("trouble").textContent = best.problem;
  for (const id of ["use-best", "copy"]) find(id).disabled = !best.plan;
  const rows = tableOf([plan, best.plan, baseline], probability);
  find("plans").replaceChildren();
  for (const { name, main, cells } of rows) {
    const row = make("tr", { className: main ? "group" : "" }, find("plans"));
    make("th", { scope: "row", textContent: name }, row);
    cells.forEach((cell) => {
      const place = make("td", { className: "n", textContent: cell ? cell.text : "" }, row);
      // All digits, for tests and other programs.
      if (cell) place.dataset.value = cell.values.join(" ");
    });
  }
};

// Tab-separated text for a spreadsheet: plain numbers, the ends of an interval in rows of their own.
const tabSeparated = (rows) => {
  const plain = (value) => typeof value === "number" ? String(Number(value.toPrecision(12))) : String(value).replace(/\s+/g, " ");
  const lines = [["", "your plan", "best plan", "baseline"]];
  for (const { name, cells } of rows) {
    const count = Math.max(...cells.map((cell) => cell ? cell.values.length : 1));
    for (let i = 0; i < count; i++) {
      const end = count > 1 ? [" from", " to"][i] : "";
      lines.push([plain(name) + end, ...cells.map((cell) => cell ? plain(cell.values[i]) : "")]);
    }
  }
  return lines.map((line) => line.join("\t")).join("\n") + "\n";
};
find("copy").addEventListener("click", async () => {
  const text = tabSeparated(tableOf([compared[0], best.plan, compared[1]], compared[2]));
  const report = (done) => { find("copied").textContent = done ? "Copied." : "The browser does not allow this page to copy: select the table instead."; };
  try {
    await navigator.clipboard.writeText(text);
    report(true);
  } catch {
    // Browsers without permission for the clipboard copy a selection.
    const area = make("textarea", { value: text, className: "hidden" }, document.body);
    area.select();
    report(document.execCommand("copy"));
    area.remove();
    find("copy").focus();
  }
});
