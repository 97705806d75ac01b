// Probabilities at any temperature, from all logits: exactly what the command computes, in double precision.
"use strict";

// softmax(logits / T); T = 0 gives all to the largest, as its limit does.
function softmax(logits, temperature) {
  let largest = -Infinity;
  for (const logit of logits) if (logit > largest) largest = logit;
  const made = new Float64Array(logits.length);
  if (temperature === 0) {
    made[logits.indexOf(largest)] = 1;
    return made;
  }
  let sum = 0;
  for (let place = 0; place < logits.length; place++) {
    made[place] = Math.exp((logits[place] - largest) / temperature);
    sum += made[place];
  }
  for (let place = 0; place < logits.length; place++) made[place] /= sum;
  return made;
}

function bits(probabilities) {
  let sum = 0;
  for (const probability of probabilities) if (probability > 0) sum -= probability * Math.log2(probability);
  return sum;
}

const BAR = document.createElement("template");
BAR.innerHTML =
  '<svg class="bar" viewBox="0 0 1 20" preserveAspectRatio="none" aria-hidden="true"><rect y="3.8" height="12.4" fill="currentColor"/></svg>';

function bar() {
  const made = BAR.content.firstChild.cloneNode(true);
  return [made, made.firstChild];
}

for (const figure of document.querySelectorAll("[data-softmax]")) {
  const data = JSON.parse(document.getElementById("data-" + figure.dataset.softmax).textContent);
  const bytes = Uint8Array.from(atob(data.logits), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const read = data.width === 8 ? (at) => view.getFloat64(at, true) : (at) => view.getFloat32(at, true);
  const logits = Float64Array.from({ length: bytes.length / data.width }, (_, place) => read(data.width * place));
  const slider = figure.querySelector("input");
  const said = figure.querySelector("output");
  const body = figure.querySelector("tbody");
  const facts = figure.querySelector("p.facts");
  const rows = data.labels.map((label) => {
    const row = body.insertRow();
    const [svg, rect] = bar();
    const figureCell = row.insertCell();
    row.insertCell(0).textContent = label;
    figureCell.className = "figure";
    const last = row.insertCell();
    last.className = "bar";
    last.append(svg);
    return [figureCell, rect];
  });
  const rest = body.insertRow();
  rest.hidden = rows.length === logits.length;
  rest.className = "dim";
  rest.insertCell().textContent = `${(logits.length - rows.length).toLocaleString("en")} more`;
  rest.insertCell().className = "figure";
  rest.insertCell();

  const draw = () => {
    const temperature = Number(slider.value);
    const probabilities = softmax(logits, temperature);
    let shown = 0;
    rows.forEach(([cell, rect], place) => {
      const probability = probabilities[data.ids[place]];
      shown += probability;
      cell.textContent = percent(probability);
      rect.setAttribute("width", probability);
    });
    rest.cells[1].textContent = percent(Math.max(1 - shown, 0) < 1e-12 ? 0 : 1 - shown);
    said.textContent = temperature.toFixed(2);
    const entropy = bits(probabilities);
    facts.textContent = `entropy ${entropy.toFixed(3)} bits: as undecided as between ${(2 ** entropy).toLocaleString("en", { maximumSignificantDigits: 3 })} equally likely ${data.things}`;
  };
  slider.addEventListener("input", draw);
  draw();
}
