// Making elements. All text goes in as text; none is ever read as markup.

function make(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value;
    else if (key in made && !key.startsWith("aria")) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

function svg(name, attributes = {}) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

// A token as the command shows it: a space as ·, a newline as ⏎, and what would be obeyed as an escape.
function shown(text) {
  return text.replace(/ /g, "·").replace(/\n/g, "⏎").replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Co}\p{Cn}]/gu, (character) => {
    if (character === "\u200c" || character === "\u200d") return character;
    const code = character.codePointAt(0);
    if (code < 0x100) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
  });
}

// The class of a value from 0 to 1 on the colour map.
const STEPS = 48;
const colour = (fraction) => `c${Math.round(Math.min(Math.max(fraction, 0), 1) * (STEPS - 1))}`;

// Surprisal in bits that is darkest.
const MOST_BITS = 16;

function bar() {
  const made = svg("svg", { class: "bar", viewBox: "0 0 1 20", preserveAspectRatio: "none", "aria-hidden": "true" });
  made.append(svg("rect", { y: 3.8, width: 1, height: 12.4, fill: "currentColor" }));
  return made;
}

const whole = (number) => Math.round(number).toLocaleString("en");

// The element of a pointer's place among those of a view.
const under = (event, selector) => (event.target instanceof Element ? event.target.closest(selector) : null);

// One stop of Tab for all of these; the arrow keys move among them.
function rove(elements, current) {
  elements.forEach((each, place) => (each.tabIndex = place === current ? 0 : -1));
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// The colour map as red, green and blue of each of 256 steps.
function colourTable(scale) {
  const stops = scale.map((each) => [1, 3, 5].map((start) => parseInt(each.slice(start, start + 2), 16)));
  return Array.from({ length: 256 }, (_, step) => {
    const at = (step / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(at), stops.length - 2);
    return stops[low].map((one, channel) => Math.round(one + (stops[low + 1][channel] - one) * (at - low)));
  });
}
