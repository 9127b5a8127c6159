// Sorts a table by a column when its header is pressed: numbers by value, then texts; pressed again, the other way.
for (const head of document.querySelectorAll("thead th")) {
  const button = document.createElement("button");
  button.append(...head.childNodes);
  head.append(button);
  button.addEventListener("click", () => {
    const table = head.closest("table"), body = table.tBodies[0];
    const down = head.getAttribute("aria-sort") === "ascending";
    const key = (row) => {
      const text = row.cells[head.cellIndex].textContent.trim();
      const number = parseFloat(text.replace("\u2212", "-").replace("+", "").replaceAll(",", ""));
      return [Number.isNaN(number) ? 1 : 0, number, text];
    };
    const rows = [...body.rows].map((row) => [key(row), row]);
    rows.sort(([[aWord, a, aText]], [[bWord, b, bText]]) =>
      aWord - bWord || (down ? -1 : 1) * (aWord ? aText.localeCompare(bText) : a - b));
    body.append(...rows.map(([, row]) => row));
    for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
  });
}
