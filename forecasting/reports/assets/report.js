"use strict";
// The report: the table of series, and the stage of the one that is open. The address names it, too:
// `_report.html#series=EURUSD`.
(() => {
  const root = document.getElementById("series");
  if (!nightcast.index) {
    root.querySelector("[data-missing]").hidden = false;
    return;
  }
  nightcast.folder = root.dataset.folder;
  const { id, percentile } = nightcast.index.values;
  if (!id.length) return;
  const stage = new nightcast.SeriesStage(root.querySelector("[data-stage]"), root.dataset.plotly);
  const table = new nightcast.SeriesTable(root.querySelector("[data-table]"), position => {
    open(position);
    stage.bringIntoView();
  });
  for (const button of stage.root.querySelectorAll("[data-step]")) {
    button.addEventListener("click", () =>
      open(table.neighbour(stage.position, Number(button.dataset.step))));
  }
  addEventListener("hashchange", () => named() !== undefined && open(named()));

  function named() {
    const name = new URLSearchParams(location.hash.slice(1)).get("series");
    const position = id.indexOf(name);
    return position < 0 ? undefined : position;
  }

  function open(position) {
    history.replaceState(null, "", `#${new URLSearchParams({ series: id[position] })}`);
    table.turnTo(position);
    stage.open(position);
  }

  // At first the most nervous series is open. Plotly takes a moment: the table comes before it.
  const most = percentile.reduce((best, value, at) => (value > (percentile[best] ?? -1) ? at : best), 0);
  root.querySelector("[data-tool]").hidden = false;
  stage.position = named() ?? most;
  if (named() === undefined) table.mark(most);
  else table.turnTo(stage.position);
  requestAnimationFrame(() => setTimeout(() => stage.open(stage.position)));
})();
