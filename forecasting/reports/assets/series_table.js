"use strict";
// The table of series: search, filter, sort and page. Only the rows of one page are in the document.
(() => {
  const PAGE_ROWS = 50;
  const { formats } = nightcast;

  // What the table sorts by: numbers, with a missing one last; a series' name by its place in the index.
  function sortValue(key, position) {
    const { values } = nightcast.index;
    const base = Math.abs(values.price[position]);
    if (key === "id") return position;
    if (key === "range") return base ? (values.high[position] - values.low[position]) / base : null;
    if (key === "change") return base ? (values.median[position] - values.price[position]) / base : null;
    return values[key][position];
  }

  function mood(position) {
    const { values, calm, nervous } = nightcast.index;
    const percentile = values.percentile[position];
    if (percentile === null) return "";
    if (percentile <= calm) return "calm";
    return percentile >= nervous ? "nervous" : "usual";
  }

  // Whether a series lacks the newest bar.
  function isLate(position) {
    return nightcast.index.values.cutoff[position] < nightcast.index.history - 1;
  }

  // The text of a series' value in a column.
  nightcast.cellText = (column, position) => {
    const { values, times, daily, models } = nightcast.index;
    const [price, low, high] = ["price", "low", "high"].map(key => values[key][position]);
    const size = Math.max(Math.abs(price), high - low);
    const value = values[column.key]?.[position];
    switch (column.kind) {
      case "time": return formats.time(times[value], daily);
      case "price": return formats.price(value, size);
      case "range": return `${formats.price(low, size)} to ${formats.price(high, size)}`;
      case "change": return formats.change(values.median[position], price);
      case "width": return value === null ? "\u2013" : `${formats.ordinal(value)}, ${mood(position)}`;
      case "odds": return formats.odds(value);
      case "signed": return formats.signed(formats.percent(value));
      case "share": return formats.percent(value);
      case "choice": return models[value];
      default: return value;
    }
  };

  class SeriesTable {
    constructor(root, open) {
      this.table = root.querySelector("table");
      this.search = root.querySelector("input[type=search]");
      this.filter = root.querySelector("select");
      this.count = root.querySelector("[data-count]");
      this.pager = root.querySelector("[data-pager]");
      this.open = open;
      this.names = nightcast.index.values.id.map(name => name.toLowerCase());
      this.sorted = this.names.map((_, position) => position);
      this.shown = this.sorted;
      this.page = 0;
      this.search.addEventListener("input", () => this.select());
      this.search.addEventListener("keydown", event => {
        if (event.key === "Enter" && this.shown.length) this.open(this.shown[0]);
      });
      this.filter.addEventListener("change", () => this.select());
      for (const [number, heading] of [...this.table.tHead.rows[0].cells].entries()) {
        heading.firstElementChild.addEventListener("click", () => this.sort(heading, number));
      }
      for (const button of this.pager.querySelectorAll("button")) {
        button.addEventListener("click", () => this.turn(Number(button.dataset.turn)));
      }
      this.table.tBodies[0].addEventListener("click", event => {
        const row = event.target.closest("tr");
        if (row && !getSelection().toString()) this.open(Number(row.dataset.position));
      });
      this.draw();
    }

    sort(heading, number) {
      const sign = heading.ariaSort === "ascending" ? -1 : 1;
      for (const other of this.table.tHead.rows[0].cells) other.ariaSort = null;
      heading.ariaSort = sign === 1 ? "ascending" : "descending";
      const { key } = nightcast.index.columns[number];
      const values = this.names.map((_, position) => sortValue(key, position));
      this.sorted = this.sorted.toSorted((a, b) =>
        (values[a] === null) - (values[b] === null) || sign * (values[a] - values[b]) || a - b);
      this.select();
    }

    select() {
      const wanted = this.search.value.trim().toLowerCase();
      const { value } = this.filter;
      this.shown = this.sorted.filter(position => this.names[position].includes(wanted)
        && (!value || (value === "late" ? isLate(position) : mood(position) === value)));
      this.page = 0;
      this.draw();
    }

    turn(pages) {
      if (!pages) return;
      this.page += pages;
      this.draw();
    }

    // The series before (-1) or after (1) one, in the order of the table; the same at the end.
    neighbour(position, step) {
      return this.shown[this.shown.indexOf(position) + step] ?? position;
    }

    // Turn to the page of a series, and mark it.
    turnTo(position) {
      const at = this.shown.indexOf(position);
      if (at >= 0) this.turn(Math.floor(at / PAGE_ROWS) - this.page);
      this.mark(position);
    }

    mark(position) {
      this.marked = position;
      for (const row of this.table.tBodies[0].rows) {
        row.ariaCurrent = Number(row.dataset.position) === position ? "true" : null;
      }
    }

    draw() {
      const total = this.shown.length;
      const start = this.page * PAGE_ROWS;
      const end = Math.min(start + PAGE_ROWS, total);
      this.table.tBodies[0].replaceChildren(...this.shown.slice(start, end).map(this.row, this));
      const of = `${formats.number(total, 0)} series`;
      this.count.textContent = total > PAGE_ROWS ? `${start + 1} to ${end} of ${of}` : of;
      const [back, forth] = this.pager.querySelectorAll("button");
      [back.disabled, forth.disabled] = [start === 0, end === total];
      this.pager.hidden = total <= PAGE_ROWS;
    }

    row(position) {
      const row = document.createElement("tr");
      row.dataset.position = position;
      row.ariaCurrent = position === this.marked ? "true" : null;
      row.append(...nightcast.index.columns.map((column, number) => {
        const cell = document.createElement(number ? "td" : "th");
        cell.className = this.table.tHead.rows[0].cells[number].className;
        const text = nightcast.cellText(column, position);
        if (number) {
          cell.textContent = text;
          if (column.kind === "width") cell.classList.add(mood(position) || "unknown");
          if (column.kind === "time") cell.classList.toggle("late", isLate(position));
        } else {
          cell.scope = "row";
          const button = document.createElement("button");
          button.type = "button";
          button.textContent = text;
          cell.append(button);
        }
        return cell;
      }));
      return row;
    }
  }

  nightcast.SeriesTable = SeriesTable;
})();
