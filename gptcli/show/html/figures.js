// Figures as text.
"use strict";

// As people read them: 0 and 100 only if exact, small ones with two digits that count, tiny ones as "1 in 7 million".
function percent(probability) {
  if (probability > 0 && probability < 1e-6) return oneIn(probability);
  if (probability < 1 && (probability * 100).toFixed(2) === "100.00") return ">99.99%";
  const small = probability > 0 && probability < 0.001;
  return (probability * 100).toFixed(small ? Math.max(2, 1 - Math.floor(Math.log10(probability * 100))) : 2) + "%";
}

function oneIn(probability) {
  if (1 / probability >= 1e15) return `1 in 10^${(-Math.log10(probability)).toFixed(0)}`;
  const digits = Math.floor(Math.log10(1 / probability));
  const step = 10 ** (digits % 3 ? digits - 1 : digits);
  const times = Math.round(1 / probability / step) * step;
  const [size, name] = [[1e12, " trillion"], [1e9, " billion"], [1e6, " million"], [1, ""]].find(([least]) => times >= least);
  return `1 in ${Math.round(times / size).toLocaleString("en")}${name}`;
}

