// A button that goes from the reader's own mode to light, to dark, and back.
"use strict";

const root = document.documentElement;
const button = document.createElement("button");
const dark = matchMedia("(prefers-color-scheme: dark)");
button.type = "button";
button.id = "theme";

function is() {
  return root.dataset.theme || (dark.matches ? "dark" : "light");
}

function tell() {
  const other = is() === "dark" ? "light" : "dark";
  button.textContent = other === "dark" ? "☾ dark" : "☀ light";
  button.setAttribute("aria-label", `Show this page ${other}`);
}

button.addEventListener("click", () => {
  root.dataset.theme = is() === "dark" ? "light" : "dark";
  tell();
});
dark.addEventListener("change", tell);
tell();
document.body.append(button); // the last stop of Tab, though it stands at the top
