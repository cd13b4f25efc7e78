"use strict";
// Clicking a heading sorts its table: numbers by value, text in natural order, missing values last.
for (const table of document.querySelectorAll("table.stack")) {
  const body = table.tBodies[0];
  const text = new Intl.Collator(undefined, { numeric: true });
  const key = (row, column) => {
    const cell = row.cells[column];
    if (cell.dataset.value === undefined) return cell.textContent.trim();
    return cell.dataset.value === "" ? NaN : Number(cell.dataset.value);
  };
  const compare = (a, b, sign) => {
    if (typeof a === "string") return sign * text.compare(a, b);
    return Number.isNaN(a) - Number.isNaN(b) || sign * (a - b);
  };
  for (const heading of table.tHead.rows[0].cells) {
    heading.firstElementChild.addEventListener("click", () => {
      const sign = heading.ariaSort === "ascending" ? -1 : 1;
      for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
      heading.ariaSort = sign === 1 ? "ascending" : "descending";
      const column = heading.cellIndex;
      const rows = Array.from(body.rows, row => [key(row, column), row]);
      rows.sort(([a], [b]) => compare(a, b, sign));
      body.append(...rows.map(([, row]) => row));
    });
  }
}
