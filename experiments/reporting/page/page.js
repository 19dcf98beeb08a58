"use strict";
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const tip = document.getElementById("tip");

// Rows are sorted within their section alone: sections are not comparable. Missing values go last.
function sortBy(button) {
  const head = button.closest("th"), table = head.closest("table"), place = [...head.parentNode.children].indexOf(head);
  const descending = head.getAttribute("aria-sort") === "ascending";
  all("th[aria-sort]", table).forEach(other => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const value = row => row.children[place].dataset.value ?? "";
  for (const body of table.tBodies) {
    const rows = all("tr:not(.title)", body);
    rows.sort((one, other) => {
      const [a, b] = [value(one), value(other)];
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
      return descending ? -order : order;
    });
    body.append(...rows);
  }
}

// "nash, cagrad" keeps the methods whose name holds one of the words.
function filter() {
  const words = document.getElementById("filter").value.toLowerCase().split(",").map(w => w.trim()).filter(Boolean);
  const published = document.getElementById("published").checked;
  for (const row of all("tbody tr:not(.title)"))
    row.hidden = words.length > 0 && !words.some(word => row.dataset.method.toLowerCase().includes(word));
  for (const body of all("tbody"))
    body.hidden = (!published && !body.classList.contains("own")) || all("tr:not(.title)", body).every(r => r.hidden);
}

function showTip(cell) {
  tip.textContent = cell.dataset.seeds;
  tip.hidden = false;
  const box = cell.getBoundingClientRect(), width = document.documentElement.clientWidth;
  tip.style.left = `${Math.max(4, Math.min(box.left, width - tip.offsetWidth - 4)) + scrollX}px`;
  tip.style.top = `${box.bottom + 4 + scrollY}px`;
}

function switchTheme() {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = (root.dataset.theme ?? (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
}

for (const kind of ["mouseover", "focusin"])
  document.addEventListener(kind, event => {
    const cell = event.target.closest?.("td[data-seeds]");
    if (cell) showTip(cell); else tip.hidden = true;
  });
document.addEventListener("focusout", () => { tip.hidden = true; });
all("thead button").forEach(button => button.addEventListener("click", () => sortBy(button)));
document.getElementById("filter").addEventListener("input", filter);
document.getElementById("published").addEventListener("change", filter);
document.getElementById("theme").addEventListener("click", switchTheme);
