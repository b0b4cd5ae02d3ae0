"use strict";
// Joint effect at the positions of the sliders, from every draw: see bayes_intgen/report/explorer.py.
(() => {
  const numbers = (text) => {
    const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float64Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(8 * i, true));
  };
  const page = JSON.parse(document.getElementById("explorer-data").textContent);
  const draws = page.draws;
  const level = numbers(page.level_of_draws);
  const noise = { sd: numbers(page.noise.sd) };
  for (const name of ["quantiles", "df", "deviation"]) {
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
    const out = { name: data.name, start: data.start, labels: data.labels };
    for (const name of ["values", "functions", "coefficients", "unit_functions", "unit_coefficients", "hats", "knot_values", "deviations", "shape_values", "shape_deviations", "reasons"]) {
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

  // ---- the model ----

  // Row `step` of a basis matrix times the coefficients of every draw: one function in every draw.
  const times = (matrix, step, ofDraws) => {
    const size = ofDraws.length / draws, out = new Float64Array(draws);
    for (let s = 0; s < draws; s++) {
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
  const surface = (pair, steps) => {
    const [j, k] = pair.actions, size = pair.coefficients.length / draws;
    const products = Float64Array.from({ length: size }, (_, i) => pair.first[steps[j] * size + i] * pair.second[steps[k] * size + i]);
    return times(products, 0, pair.coefficients);
  };
  // Whether no regimes reach a combination of two values, either of which is supported by itself.
  const unreached = (pair, steps) => {
    const [j, k] = pair.actions, width = pair.columns[pair.columns.length - 1] + 1;
    return actions[j].supported[steps[j]] && actions[k].supported[steps[k]]
      && pair.unreached[pair.rows[steps[j]] * width + pair.columns[steps[k]]] > 0;
  };
  // Solution of three linear equations, with several right-hand sides.
  const solve3 = (matrix, sides) => {
    const rows = matrix.map((row, i) => [...row, ...sides[i]]);
    for (let i = 0; i < 3; i++) {
      let best = i;
      for (let j = i + 1; j < 3; j++) if (Math.abs(rows[j][i]) > Math.abs(rows[best][i])) best = j;
      [rows[i], rows[best]] = [rows[best], rows[i]];
      for (let j = 0; j < 3; j++) {
        if (j === i) continue;
        const factor = rows[j][i] / rows[i][i];
        rows[j] = rows[j].map((v, k) => v - factor * rows[i][k]);
      }
    }
    return rows.map((row, i) => row.slice(3).map((v) => v / row[i]));
  };
  // Features of the characteristic function of a law, and their derivatives.
  const featuresOf = ([logScale, skewness, logTail]) => {
    const tail = Math.exp(logTail), scale = Math.exp(logScale), n = law.nodes.length;
    const partial = [0, 1, 2].map(() => new Float64Array(n)), means = [0, 0, 0];
    for (let i = 0; i < n; i++) {
      const angle = (law.angles[i] + skewness) / tail, cosh = Math.cosh(angle);
      partial[0][i] = Math.sinh(angle); partial[1][i] = cosh / tail; partial[2][i] = -angle * cosh;
      for (let q = 0; q < 3; q++) means[q] += law.weights[i] * partial[q][i];
    }
    // The first derivative is that with respect to the log scale.
    const of = law.frequencies.map((t) => {
      let re = 0, im = 0;
      const dRe = [0, 0, 0], dIm = [0, 0, 0];
      for (let i = 0; i < n; i++) {
        const y = t * scale * (partial[0][i] - means[0]);
        const c = law.weights[i] * Math.cos(y), s = law.weights[i] * Math.sin(y);
        re += c; im += s;
        for (let q = 0; q < 3; q++) {
          const slope = t * scale * (partial[q][i] - means[q]);
          dRe[q] -= s * slope; dIm[q] += c * slope;
        }
      }
      const size = re * re + im * im;
      return {
        modulus: -0.5 * Math.log(size), angle: Math.atan2(im, re),
        dModulus: dRe.map((d, q) => -(d * re + dIm[q] * im) / size),
        dAngle: dRe.map((d, q) => (dIm[q] * re - d * im) / size),
      };
    });
    const a = of[0].modulus, b = of[0].angle, c = of[1].modulus, da = of[0].dModulus;
    return {
      values: [Math.log(a), c / a, b / a ** 1.5],
      slopes: [da.map((d) => d / a), da.map((d, q) => of[1].dModulus[q] / a - c / a ** 2 * d),
        da.map((d, q) => of[0].dAngle[q] / a ** 1.5 - 1.5 * b / a ** 2.5 * d)],
    };
  };
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const within = (value, q) => clamp(value, law.bounds[2 * q], law.bounds[2 * q + 1]);
  const leastSquares = (slopes, ridge) => {
    const gram = [0, 1, 2].map((p) => [0, 1, 2].map((q) => slopes.reduce((sum, row) => sum + row[p] * row[q], p === q ? ridge : 0)));
    return solve3(gram, [0, 1, 2].map((p) => slopes.map((row) => row[p])));
  };
  // Parameters of the law with these values of the characteristic function, and their derivatives.
  const match = (target) => {
    const a = Math.max(target[0], law.least_exponent), b = target[1];
    const c = clamp(target[2], law.ratios[0] * a, law.ratios[1] * a);
    const wanted = [Math.log(a), c / a, b / a ** 1.5];
    const parameters = [0.5 * Math.log(2 * a) - Math.log(law.frequencies[0]), 0, 0];
    let slopes = null;
    for (let i = 0; i < law.iterations; i++) {
      const now = featuresOf(parameters);
      slopes = now.slopes;
      const inverse = leastSquares(slopes, law.damping);
      for (let p = 0; p < 3; p++) {
        const step = inverse[p].reduce((sum, v, q) => sum + v * (wanted[q] - now.values[q]), 0);
        const limit = law.largest_step * law.step_ratio ** i;
        parameters[p] = within(parameters[p] + clamp(step, -limit, limit), p);
      }
    }
    const inverse = leastSquares(slopes, law.ridge);
    const outer = [[1 / a, 0, 0], [-c / a ** 2, 0, 1 / a], [-1.5 * b / a ** 2.5, a ** -1.5, 0]];
    return { parameters, slopes: inverse.map((row) => [0, 1, 2].map((q) => row.reduce((sum, v, r) => sum + v * outer[r][q], 0))) };
  };
  // E cosh(arcsinh(Z) / tail) for standard normal Z.
  const meanCosh = (tail) => {
    const half = law.nodes.length >> 1;
    let sum = law.weights[half];
    for (let i = half + 1; i < law.nodes.length; i++) sum += 2 * law.weights[i] * Math.cosh(law.angles[i] / tail);
    return sum;
  };
  const varianceOf = ([logScale, skewness, logTail]) => {
    const tail = Math.exp(logTail), mean = Math.sinh(skewness / tail) * meanCosh(tail);
    return Math.exp(2 * logScale) * ((Math.cosh(2 * skewness / tail) * meanCosh(tail / 2) - 1) / 2 - mean ** 2);
  };
  // Law of the noise in every draw, given its relative variance.
  const lawOf = (parts, variance) => {
    const values = Array.from(noise.shape_values), moved = Float64Array.from(noise.shape_deviations);
    for (const own of parts) {
      if (!own.shape) continue;
      for (let q = 0; q < 3; q++) values[q] += own.shape[q];
      for (let i = 0; i < moved.length; i++) moved[i] += own.shapeMoved[i];
    }
    const { parameters, slopes } = match(values);
    parameters[0] -= 0.5 * Math.log(Math.max(varianceOf(parameters) / variance, 1));
    const out = { scale: new Float64Array(draws), skewness: new Float64Array(draws), tail: new Float64Array(draws), mean: new Float64Array(draws) };
    for (let s = 0; s < draws; s++) {
      const [logScale, skewness, logTail] = [0, 1, 2].map((p) => {
        const move = slopes[p].reduce((sum, v, q) => sum + v * moved[3 * s + q], 0);
        return within(parameters[p] + clamp(move, -law.moves[p], law.moves[p]), p);
      });
      const tail = Math.exp(logTail);
      out.scale[s] = Math.exp(logScale); out.skewness[s] = skewness; out.tail[s] = tail;
      out.mean[s] = Math.sinh(skewness / tail) * meanCosh(tail);
    }
    return out;
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

  // ---- quantiles ----

  const average = (values) => values.reduce((sum, v) => sum + v, 0) / values.length;
  const quantile = (sorted, p) => {
    const at = p * (sorted.length - 1), below = Math.floor(at);
    const next = sorted[Math.min(below + 1, sorted.length - 1)];
    return sorted[below] + (at - below) * (next - sorted[below]);
  };
  const band = (values, probability) => {
    const sorted = Float64Array.from(values).sort();
    return [quantile(sorted, (1 - probability) / 2), quantile(sorted, (1 + probability) / 2)];
  };
  // Logarithm of the gamma function, Lanczos.
  const logGamma = (x) => {
    const c = [0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313,
      -176.61502916214059, 12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6,
      1.5056327351493116e-7];
    if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
    let sum = c[0];
    for (let i = 1; i < 9; i++) sum += c[i] / (x - 1 + i);
    const t = x + 6.5;
    return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(sum);
  };
  // Continued fraction of the incomplete beta function, by Lentz's method.
  const fraction = (x, a, b) => {
    const tiny = 1e-300;
    let c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (Math.abs(d) < tiny ? tiny : d);
    let out = d;
    for (let m = 1; m < 500; m++) {
      for (const term of [m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
        -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))]) {
        d = 1 + term * d; d = 1 / (Math.abs(d) < tiny ? tiny : d);
        c = 1 + term / c; if (Math.abs(c) < tiny) c = tiny;
        out *= d * c;
      }
      if (Math.abs(d * c - 1) < 1e-16) break;
    }
    return out;
  };
  const beta = (x, a, b) => {
    if (x <= 0) return 0;
    if (x >= 1) return 1;
    const front = Math.exp(logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * fraction(x, a, b) / a : 1 - front * fraction(1 - x, b, a) / b;
  };
  const studentBelow = (t, df) => {
    const tail = 0.5 * beta(df / (df + t * t), df / 2, 0.5);
    return t > 0 ? 1 - tail : tail;
  };
  // Distribution function of the standard normal law: series, and continued fraction in the tails.
  const normalBelow = (x) => {
    const z = Math.abs(x);
    let tail;
    if (z < 3) {
      let term = z, sum = z;
      for (let i = 1; i < 100 && term > 1e-18 * sum; i++) { term *= z * z / (2 * i + 1); sum += term; }
      tail = 0.5 - Math.exp(-z * z / 2) * sum / Math.sqrt(2 * Math.PI);
    } else {
      let f = 0;
      for (let i = 80; i > 0; i--) f = i / (z + f);
      tail = Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI) / (z + f);
    }
    return x > 0 ? 1 - tail : tail;
  };
  // Distribution function of the standardised noise.
  const noiseBelow = (x, s, shape) => {
    if (shape) return normalBelow(Math.sinh(shape.tail[s] * Math.asinh(x + shape.mean[s]) - shape.skewness[s]));
    if (noise.df) return studentBelow(x, noise.df[s]);
    const q = noise.quantiles, n = q.length;
    if (x < q[0]) return 0;
    if (x > q[n - 1]) return 1;
    let low = 0, high = n - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (q[middle] <= x) low = middle; else high = middle;
    }
    const slope = q[high] > q[low] ? (x - q[low]) / (q[high] - q[low]) : 1;
    return (low + 0.5 + slope) / n;
  };
  // Quantiles of the mixture of all draws' outcomes, by the Illinois method and bisection.
  const mixtureQuantile = ({ unit: mean, sd, shape }, p, guess, precision) => {
    const overshoot = (y) => {
      let sum = 0;
      for (let s = 0; s < draws; s++) sum += noiseBelow((y - mean[s]) / sd[s], s, shape);
      return sum / draws - p;
    };
    const unit = average(sd);
    let reach = 0.05 * unit, a = guess - reach, b = guess + reach, fa = overshoot(a), fb = overshoot(b);
    while (fa > 0) { reach *= 2; b = a; fb = fa; a -= reach; fa = overshoot(a); }
    while (fb < 0) { reach *= 2; a = b; fa = fb; b += reach; fb = overshoot(b); }
    for (let i = 0; i < 200 && b - a > precision * unit; i++) {
      // A step of the Illinois method; every third step is a bisection.
      let y = i % 3 === 2 || fa === fb ? (a + b) / 2 : b - fb * (b - a) / (fb - fa);
      if (!(y > a && y < b)) y = (a + b) / 2;
      if (y === a || y === b) break;
      const f = overshoot(y);
      if (f === 0) return y;
      if (f < 0) { a = y; fa = f; if (i % 3 !== 2) fb /= 2; } else { b = y; fb = f; if (i % 3 !== 2) fa /= 2; }
    }
    return (a + b) / 2;
  };
  // Probability of at most k of a count: see bayes_intgen/models/outcome_kinds.py.
  const countBelow = (mean, variance, k) => {
    if (k < 0) return 0;
    mean = Math.max(mean, 1e-9);
    const least = 1e-6 * mean, below = variance - mean < -least;
    let size = mean ** 2 / Math.max(Math.abs(variance - mean), least);
    if (!below) return beta(size / (size + mean), size, k + 1);
    size = Math.max(size, mean);
    return k >= size ? 1 : beta(1 - mean / size, size - k, k + 1);
  };
  const countQuantile = ({ unit, sd }, p) => {
    const short = (k) => {
      let sum = 0;
      for (let s = 0; s < draws; s++) sum += countBelow(unit[s], sd[s] ** 2 * (noise.df ? noise.df[s] / Math.max(noise.df[s] - 2, 0.1) : 1), k);
      return sum / draws < p;
    };
    let low = -1, high = 1;
    while (short(high)) { low = high; high = 2 * high + 1; }
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (short(middle)) low = middle; else high = middle;
    }
    return high;
  };
  const binary = page.kind === "binary";
  const outcomeBand = (outcome, probability, guesses, precision) => {
    // The chart of a probability has no further lines.
    if (binary) { const middle = average(outcome.mean); return [middle, middle]; }
    if (page.kind === "count") return [0, 1].map((i) => countQuantile(outcome, (1 + (2 * i - 1) * probability) / 2));
    const centre = average(outcome.unit), unit = average(outcome.sd);
    const ends = [0, 1].map((i) => mixtureQuantile(
      outcome, (1 + (2 * i - 1) * probability) / 2,
      guesses ? (products ? Math.log(guesses[i]) : guesses[i]) : centre + (2 * i - 1) * 1.6 * unit, precision));
    return products ? ends.map(Math.exp) : ends;
  };

  // ---- formatting ----

  const powers = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  const decimalsFor = (width) => width > 0 && isFinite(width) ? 1 - Math.floor(Math.log10(width)) : 3;
  const formatToUncertainty = (value, decimals, sign) => {
    let text;
    if (decimals > 6 || Math.abs(value) >= 1e9) {
      const order = value ? Math.floor(Math.log10(Math.abs(value))) : 0;
      const [mantissa, power] = value.toExponential(Math.min(Math.max(order + decimals, 0), 12)).split("e");
      text = mantissa + "×10" + [...String(Number(power))].map((c) => powers[c]).join("");
    } else {
      const places = Math.max(decimals, 0);
      text = value.toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
      if (!/[1-9]/.test(text)) text = text.replace("-", "");
    }
    if (sign && value > 0 && /[1-9]/.test(text)) text = "+" + text;
    return text.replace("-", "−");
  };
  const formatNumber = (value) => {
    const size = Math.abs(value);
    if (size && (size < 1e-4 || size >= 1e9)) {
      const [mantissa, power] = value.toExponential(5).split("e");
      return String(Number(mantissa)).replace("-", "−") + "×10" + [...String(Number(power))].map((c) => powers[c]).join("");
    }
    return Number(value.toPrecision(6)).toLocaleString("en-US", { maximumFractionDigits: 10 }).replace("-", "−");
  };

  const shortened = (text, maxLength) => {
    const letters = [...text];
    return letters.length > maxLength ? letters.slice(0, Math.max(maxLength - 1, 1)).join("") + "…" : text;
  };
  // Value of an action at a step of its slider; levels by their names.
  const valueText = (action, step) => action.labels ? action.labels[step] : formatNumber(action.values[step]);

  // ---- state ----

  const starts = actions.map((action) => action.start);
  const steps = [...starts];
  let baseline = [...starts], along = 0, probability = page.level, soon = 0;
  const parts = steps.map((step, k) => part(k, step));
  const surfaces = pairs.map((pair) => surface(pair, steps));
  let reference = parts.map((own) => own.phi), referenceSurfaces = [...surfaces];
  let referenceMean = outcomeOf(parts, surfaces).mean;
  const move = (k, step) => {
    steps[k] = step;
    parts[k] = part(k, step);
    pairs.forEach((pair, i) => { if (pair.actions.includes(k)) surfaces[i] = surface(pair, steps); });
  };

  const find = (id) => document.getElementById(id);
  const make = (kind, properties, parent) => parent.appendChild(Object.assign(document.createElement(kind), properties));
  const show = (row, of, text, values) => {
    const cell = document.querySelector(`#${row} [data-of=${of}]`);
    cell.textContent = text;
    // All digits, for tests and other programs.
    cell.dataset.value = values.map(String).join(" ");
  };

  const sliders = actions.map((action, k) => {
    const box = make("div", { className: "slider" }, document.querySelector(".sliders"));
    const top = make("div", { className: "top" }, box);
    make("label", { htmlFor: `action-${k}`, textContent: action.name }, top);
    const output = make("output", { htmlFor: `action-${k}` }, top);
    const last = action.values.length - 1;
    const input = make("input", { type: "range", id: `action-${k}`, min: 0, max: last, step: 1, value: steps[k] }, box);
    // Firefox keeps positions over a reload; the page starts from the default point.
    input.autocomplete = "off";
    input.value = steps[k];
    const ends = make("div", { className: "ends" }, box);
    const labelSteps = action.labels && last < 5 ? action.labels.map((_, step) => step) : [0, last];
    for (const step of labelSteps) make("span", { textContent: valueText(action, step) }, ends);
    input.addEventListener("input", () => {
      move(k, Number(input.value));
      choose(k);
      update();
    });
    input.addEventListener("focus", () => { if (along !== k) { choose(k); drawProfile(); } });
    make("option", { value: k, textContent: action.name }, find("along"));
    return { input, output };
  });
  const choose = (k) => { along = k; find("along").value = String(k); };

  const levels = [...new Set([0.5, 0.8, 0.9, 0.95, page.level])].sort();
  for (const l of levels) make("option", { value: l, textContent: `${Number((100 * l).toFixed(4))}%` }, find("level"));
  find("level").value = String(probability);

  const update = () => {
    sliders.forEach(({ input, output }, k) => {
      const text = valueText(actions[k], steps[k]);
      input.value = steps[k];
      input.setAttribute("aria-valuetext", text);
      output.textContent = text;
    });
    const outcome = outcomeOf(parts, surfaces);
    const mean = average(outcome.mean), ends = band(outcome.mean, probability);
    const outer = outcomeBand(outcome, probability, null, 1e-13);
    const digits = decimalsFor(ends[1] - ends[0]), coarse = decimalsFor(outer[1] - outer[0]);
    const single = binary ? average(outcome.unit.map((v) => clamp(v, 0, 1))) : null;
    show("effect", "mean", formatToUncertainty(mean, digits), [mean]);
    show("effect", "band", `${formatToUncertainty(ends[0], digits)} to ${formatToUncertainty(ends[1], digits)}`, ends);
    if (binary) show("outcome", "band", single.toFixed(2), [single]);
    else if (page.kind === "count") show("outcome", "band", `${formatNumber(outer[0])} to ${formatNumber(outer[1])}`, outer);
    else show("outcome", "band", `${formatToUncertainty(outer[0], coarse)} to ${formatToUncertainty(outer[1], coarse)}`, outer);
    const change = products ? outcome.mean.map((v, s) => v - referenceMean[s]) : new Float64Array(draws);
    if (!products) parts.forEach((own, k) => {
      if (steps[k] !== baseline[k]) for (let s = 0; s < draws; s++) change[s] += own.phi[s] - reference[k][s];
    });
    if (!products) pairs.forEach((pair, i) => {
      if (pair.actions.some((k) => steps[k] !== baseline[k])) for (let s = 0; s < draws; s++) change[s] += surfaces[i][s] - referenceSurfaces[i][s];
    });
    const meanChange = average(change), range = band(change, probability);
    const fine = range[1] > range[0] ? decimalsFor(range[1] - range[0]) : 0;
    show("change", "mean", formatToUncertainty(meanChange, fine, true), [meanChange]);
    show("change", "band", `${formatToUncertainty(range[0], fine, true)} to ${formatToUncertainty(range[1], fine, true)}`, range);
    const share = change.reduce((sum, v) => sum + (v > 0), 0) / draws;
    const same = steps.every((step, k) => step === baseline[k]);
    find("above").textContent = same ? "–" : share === 1 ? `> ${(1 - 1 / draws).toFixed(4)}`
      : share === 0 ? `< ${(1 / draws).toFixed(4)}` : share.toFixed(share > 0.995 || share < 0.005 ? 4 : 2);
    find("above").dataset.value = String(share);
    for (const place of document.querySelectorAll("#explorer .level")) {
      place.textContent = `${Number((100 * probability).toFixed(4))}%`;
    }
    const far = actions.flatMap((a, k) => {
      const reason = page.reasons[a.reasons[steps[k]]];
      return reason ? [`${a.name} (${reason})`] : [];
    });
    for (const pair of pairs) {
      if (unreached(pair, steps)) far.push(`no regimes reach this combination of ${pair.actions.map((k) => actions[k].name).join(" and ")}`);
    }
    find("beyond").hidden = !far.length;
    find("beyond").textContent = far.length ? `Not supported, so the answer rests on the model and its prior: ${far.join("; ")}.` : "";
    find("baseline").textContent = "Baseline: " + actions.map((a, k) => `${a.name} ${valueText(a, baseline[k])}`).join(", ") + ".";
    clearTimeout(soon);
    soon = setTimeout(() => {
      find("spoken").textContent = `Mean ${formatToUncertainty(mean, digits)}, band ${formatToUncertainty(ends[0], digits)} to ${formatToUncertainty(ends[1], digits)}`;
    }, 600);
    drawProfile({ mean, outcome });
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
  const drawProfile = (now) => {
    now ??= (() => { const outcome = outcomeOf(parts, surfaces); return { outcome, mean: average(outcome.mean) }; })();
    const action = actions[along], last = action.values.length - 1, count = Math.min(48, last);
    const gridSteps = [...new Set(Array.from({ length: count + 1 }, (_, i) => Math.round(i * last / count)))];
    const lines = { mean: [], wide: [], narrow: [], outer: [] };
    const others = parts.filter((_, k) => k !== along);
    const stepsAt = (step) => steps.map((own, k) => k === along ? step : own);
    const surfacesAt = (step) => pairs.map((pair, i) => pair.actions.includes(along) ? surface(pair, stepsAt(step)) : surfaces[i]);
    const supported = action.supported.map((own, step) => own && !pairs.some((pair) => pair.actions.includes(along) && unreached(pair, stepsAt(step))));
    let guesses = null;
    for (const step of gridSteps) {
      const outcome = outcomeOf([...others, part(along, step)], surfacesAt(step));
      lines.mean.push(average(outcome.mean));
      const sorted = Float64Array.from(outcome.mean).sort();
      for (const [name, l] of [["wide", probability], ["narrow", 0.5]]) {
        lines[name].push([quantile(sorted, (1 - l) / 2), quantile(sorted, (1 + l) / 2)]);
      }
      guesses = outcomeBand(outcome, probability, guesses, 1e-4);
      lines.outer.push(guesses);
    }
    const lows = Math.min(...lines.outer.map((e) => e[0]), ...lines.wide.map((e) => e[0]));
    const highs = Math.max(...lines.outer.map((e) => e[1]), ...lines.wide.map((e) => e[1]));
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
    // Hatching of unsupported steps, up to halfway to the next supported ones.
    const edge = (i) => action.labels ? left + room * i : x((action.values[Math.max(i - 1, 0)] + action.values[Math.min(i, last)]) / 2);
    for (let i = 0; i <= last; i++) {
      if (supported[i]) continue;
      const first = i;
      while (i < last && !supported[i + 1]) i++;
      shape("rect", { class: "beyond", x: edge(first), y: top, width: edge(i + 1) - edge(first), height: H - top - bottom }, svg);
    }
    const short = (text) => shortened(text, Math.floor(W / 9));
    shape("text", { class: "x label", x: (left + W - right) / 2, y: H - 6 }, svg, short(action.name));
    shape("text", { class: "label", x: 4, y: 12 }, svg, short(page.outcome));
    const path = (values) => values.map((v, i) => `${i ? "L" : "M"}${x(action.values[gridSteps[i]]).toFixed(1)} ${y(v).toFixed(1)}`).join("");
    const area = (ends) => path(ends.map((e) => e[0])) + gridSteps.map((step, i) => i).reverse()
      .map((i) => `L${x(action.values[gridSteps[i]]).toFixed(1)} ${y(ends[i][1]).toFixed(1)}`).join("") + "Z";
    const intervals = (ends) => ends.map((e, i) => `M${xAt(gridSteps[i]).toFixed(1)} ${y(e[0]).toFixed(1)}V${y(e[1]).toFixed(1)}`).join("");
    if (action.labels) {
      if (!binary) shape("path", { class: "outcome", d: intervals(lines.outer) }, svg);
      shape("path", { class: "set-range", d: intervals(lines.wide) }, svg);
      if (probability > 0.5) shape("path", { class: "set-inner", d: intervals(lines.narrow) }, svg);
      shape("path", { class: "set-dot", d: lines.mean.map((v, i) => `M${xAt(gridSteps[i]).toFixed(1)} ${y(v).toFixed(1)}h0`).join("") }, svg);
    } else {
      shape("path", { class: "set-band", d: area(lines.wide) }, svg);
      if (probability > 0.5) shape("path", { class: "set-band", d: area(lines.narrow) }, svg);
      for (const i of binary ? [] : [0, 1]) shape("path", { class: "outcome", d: path(lines.outer.map((e) => e[i])) }, svg);
      shape("path", { class: "set", d: path(lines.mean) }, svg);
    }
    const here = xAt(steps[along]);
    shape("line", { class: "here", x1: here, x2: here, y1: top, y2: H - bottom, "stroke-dasharray": "2 3" }, svg);
    shape("circle", { class: "spot", cx: here, cy: y(now.mean), r: 4.5 }, svg);
  };

  find("along").addEventListener("change", (event) => { choose(Number(event.target.value)); drawProfile(); });
  find("level").addEventListener("change", (event) => { probability = Number(event.target.value); update(); });
  find("rebase").addEventListener("click", () => {
    baseline = [...steps];
    reference = parts.map((own) => own.phi);
    referenceSurfaces = [...surfaces];
    referenceMean = outcomeOf(parts, surfaces).mean;
    update();
  });
  find("reset").addEventListener("click", () => {
    starts.forEach((step, k) => move(k, step));
    update();
  });
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; drawProfile(); } });
  document.querySelector(".explorer").hidden = false;
  update();
})();
