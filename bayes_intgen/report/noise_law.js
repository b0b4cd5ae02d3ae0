// Law of the noise in every draw, by its characteristic function: see bayes_intgen/models/noise_shape.py.
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
  parameters[0] -= 0.5 * Math.log(Math.max(varianceOf(parameters) / variance / law.max_excess, 1));
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
