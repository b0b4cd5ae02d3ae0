// Numbers with no more digits than their uncertainty supports: see bayes_intgen/text/formats.py.
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
// A share of draws, without a claim of certainty.
const formatProbability = (share) => share > 0.995 ? "> 0.99" : share < 0.005 ? "< 0.01" : share.toFixed(2);
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
