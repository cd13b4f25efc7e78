"use strict";
// The stage: the chart of the series that is open, with its numbers, its files and what the chart shows.
(() => {
  class SeriesStage {
    constructor(root, plotly) {
      this.root = root;
      this.plotly = plotly; // where plotly's script is
      this.chart = root.querySelector("[data-chart]");
      this.note = root.querySelector("[data-note]");
      this.show = { bands: new Set(["60", "80", "90"]), past: true, log: false, span: "recent" };
      root.querySelector("form").addEventListener("change", event => this.choose(event.target));
      root.querySelector("form").addEventListener("submit", event => event.preventDefault());
      matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
      matchMedia("print").addEventListener("change", () => this.draw());
    }

    choose({ name, value, checked }) {
      if (name === "span") this.show.span = value;
      else if (name === "band") this.show.bands[checked ? "add" : "delete"](value);
      else this.show[name] = checked;
      this.draw();
    }

    async open(position) {
      this.position = position;
      this.values = null;
      this.describe(position);
      this.note.textContent = "Loading\u2026";
      try {
        this.ready ??= nightcast.loadScript(this.plotly);
        const [values] = await Promise.all([nightcast.loadSeries(position), this.ready]);
        if (this.position !== position) return; // another one was opened meanwhile
        this.values = values;
        await this.draw();
        this.note.textContent = "";
      } catch (error) {
        this.ready = window.Plotly && this.ready;
        this.note.textContent = `The chart cannot be drawn: ${error.message}.`;
      }
    }

    // Bring the stage into view, and the keyboard to it.
    bringIntoView() {
      this.root.scrollIntoView({ block: "start" });
      this.root.querySelector("[data-name]").focus({ preventScroll: true });
    }

    async draw() {
      if (!this.values) return;
      await nightcast.drawChart(this.chart, this.position, this.values, this.show);
      if (!this.chart.dataset.position) this.chart.on("plotly_doubleclick", () => this.draw());
      this.chart.dataset.position = this.position;
    }

    describe(position) {
      const { values, columns, pictures } = nightcast.index;
      const text = Object.fromEntries(columns.map(column => [column.key, nightcast.cellText(column, position)]));
      this.root.querySelector("[data-name]").textContent = values.id[position];
      this.root.querySelector("[data-headline]").textContent =
        `${text.price} \u2192 ${text.median} (${text.change}); 80% range ${text.range}`;
      this.root.querySelector("[data-facts]").replaceChildren(...columns.slice(1).map(column => {
        const fact = document.createElement("div");
        const [term, value] = ["dt", "dd"].map(tag => document.createElement(tag));
        [term.textContent, value.textContent] = [column.name, text[column.key]];
        fact.append(term, value);
        return fact;
      }));
      const picture = this.root.querySelector("[data-picture]");
      picture.hidden = !(position in pictures);
      if (position in pictures) picture.href = `_charts/${encodeURIComponent(pictures[position])}`;
      this.chart.setAttribute("aria-label",
        `${values.id[position]}: recent prices, the forecast with its intervals, and past forecasts`);
    }
  }

  nightcast.SeriesStage = SeriesStage;
})();
