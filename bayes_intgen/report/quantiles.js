// Quantiles of draws, and of the mixture of all draws' outcomes.
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
  if (noise.df) return studentBelow(x, noise.df);
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
    for (let s = 0; s < draws; s++) sum += countBelow(unit[s], sd[s] ** 2 * (noise.df ? noise.df / Math.max(noise.df - 2, 0.1) : 1), k);
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
