// Everything is readable without this: it adds searching, sorting, filtering and copying.
"use strict";
const words = JSON.parse(document.getElementById("words").textContent);

function make(tag, properties) {
  return Object.assign(document.createElement(tag), properties);
}

function rowsOf(section) {
  return [...section.querySelectorAll("tbody tr, .classes > div")];
}

function narrow(section) {
  const asked = [...section.querySelectorAll(".find")];
  for (const row of rowsOf(section)) {
    row.classList.toggle("hidden", !asked.every((one) =>
      one.tagName === "SELECT"
        ? !one.value || row.dataset[one.dataset.key] === one.value
        : row.textContent.toLowerCase().includes(one.value.toLowerCase())));
  }
  if (asked.some((one) => one.value)) {
    section.querySelectorAll("details").forEach((one) => { one.open = true; });
  }
}

function addSearch(section) {
  const box = make("input", { type: "search", className: "find", placeholder: words.search });
  box.setAttribute("aria-label", words.search);
  box.addEventListener("input", () => narrow(section));
  section.querySelector("h2, h3").after(box);
}

function addChoices(section) {
  for (const key of section.dataset.filter.split(" ")) {
    const values = [...new Set(rowsOf(section).map((row) => row.dataset[key]))];
    if (values.length < 2) continue;
    const choice = make("select", { className: "find" });
    choice.setAttribute("aria-label", words[key]);
    choice.dataset.key = key;
    choice.append(new Option(`${words[key]}: ${words.all}`, ""), ...values.map((v) => new Option(v, v)));
    choice.addEventListener("change", () => narrow(section));
    section.querySelector("h2, h3").after(choice);
  }
}

function valueOf(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.v ?? cell.textContent;
  return text.trim() === "" || isNaN(text) ? text : Number(text);
}

function addSorting(table) {
  table.querySelectorAll("thead th").forEach((head, column) => {
    if (!head.textContent.trim() || head.classList.contains("bar")) return;
    const button = make("button", { type: "button", textContent: head.textContent });
    let down = true;
    button.addEventListener("click", () => {
      const body = table.tBodies[0];
      const sorted = [...body.rows].sort((a, b) => {
        const [x, y] = [valueOf(a, column), valueOf(b, column)];
        return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1);
      });
      down = !down;
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      body.append(...sorted);
    });
    head.replaceChildren(button);
  });
}

function addCopy(block) {
  const text = block.textContent;
  const button = make("button", { type: "button", className: "copy", textContent: words.copy });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = words.copied;
  });
  block.prepend(button);
}

document.querySelectorAll("[data-search]").forEach(addSearch);
document.querySelectorAll("[data-filter]").forEach(addChoices);
document.querySelectorAll("table[data-sort]").forEach(addSorting);
document.querySelectorAll("pre").forEach(addCopy);
