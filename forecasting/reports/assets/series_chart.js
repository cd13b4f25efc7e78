"use strict";
// The chart of a series: recent prices, the forecast's fan, and past forecasts over the prices that came.
(() => {
  const { formats } = nightcast;
  const BANDS = [["90", "q05", "q95"], ["80", "q10", "q90"], ["60", "q20", "q80"]];
  const MOUSE_DRAGS = !matchMedia("(pointer: coarse)").matches; // a finger scrolls the page

  function colours() {
    const style = getComputedStyle(document.documentElement);
    return name => style.getPropertyValue(`--${name}`).trim();
  }

  // A closed line around a band, for `fill: "toself"`.
  function band(x, low, high, color) {
    return {
      x: [...x, ...x.toReversed()], y: [...high, ...Array.from(low).reverse()],
      fill: "toself", fillcolor: color, line: { width: 0 }, mode: "lines", hoverinfo: "skip",
    };
  }

  // The places on the grid that a span shows: the forecast, what its picture shows too, or all.
  function spanOf(span, cutoff) {
    const { horizon, history } = nightcast.index;
    const before = { forecast: Math.ceil(horizon / 2), recent: Math.min(250, 40 + 3 * horizon), all: history };
    return [Math.max(0, cutoff + 1 - before[span]), cutoff + horizon];
  }

  function fanTraces(series, show, color) {
    const { start, size, x, fan } = series;
    const there = [...fan.q50].map((_, at) => at);
    const withStart = curve => [series.last, ...curve];
    const bands = BANDS.filter(([name]) => show.bands.has(name)).map(([name, low, high]) =>
      band(x.slice(start, start + there.length + 1), withStart(fan[low]), withStart(fan[high]),
        color(`band-${name}`)));
    const text = there.map(at => BANDS.filter(([name]) => show.bands.has(name)).toReversed().map(
      ([name, low, high]) =>
        `<br>${name}%: ${formats.price(fan[low][at], size)} to ${formats.price(fan[high][at], size)}`).join(""));
    const median = {
      x: x.slice(start, start + there.length + 1), y: withStart(fan.q50), mode: "lines",
      line: { color: color("red"), width: 2.4 }, customdata: ["", ...text],
      text: withStart(fan.q50).map(value => formats.price(value, size)),
      hovertemplate: "median <b>%{text}</b>%{customdata}<extra></extra>",
    };
    return [...bands, median];
  }

  function pastTraces(series, color) {
    return series.past.filter(({ start }) => start >= 0 && start < series.start).flatMap(past => {
      const steps = Math.min(series.start - past.start, past.curves.q50.length);
      const x = series.x.slice(past.start, past.start + steps + 1);
      const start = series.price[past.start];
      const [low, median, high] = ["q10", "q50", "q90"].map(
        name => [start, ...past.curves[name].subarray(0, steps)]);
      const text = median.map((value, at) => `${formats.price(value, series.size)}, 80%: `
        + `${formats.price(low[at], series.size)} to ${formats.price(high[at], series.size)}`);
      return [band(x, low, high, color("past-band")), {
        x, y: median, mode: "lines", line: { color: color("past"), width: 1.4, dash: "dot" }, text,
        hovertemplate: `as of ${past.asOf}: %{text}<extra></extra>`,
      }];
    });
  }

  function priceTrace(series, color) {
    const y = [...series.price];
    return {
      x: series.x.slice(0, y.length), y, mode: "lines", line: { color: color("blue"), width: 2 },
      connectgaps: true, text: y.map(value => formats.price(value, series.size)),
      hovertemplate: `${nightcast.index.price} <b>%{text}</b><extra></extra>`,
    };
  }

  // The smallest and largest value between two places, of prices, bands and past forecasts that are shown.
  function extent(series, show, [first, last]) {
    const found = [];
    const add = (values, start) => values.forEach((value, at) => {
      if (start + at >= first && start + at <= last && !Number.isNaN(value)) found.push(value);
    });
    add(series.price, 0);
    add(series.fan.q50, series.start + 1);
    for (const [name, low, high] of BANDS) {
      if (show.bands.has(name)) [low, high].forEach(key => add(series.fan[key], series.start + 1));
    }
    if (show.past) {
      for (const past of series.past.filter(({ start }) => start >= 0 && start < series.start)) {
        const steps = series.start - past.start;
        ["q10", "q90"].forEach(key => add(past.curves[key].subarray(0, steps), past.start + 1));
      }
    }
    return [Math.min(...found), Math.max(...found)];
  }

  function axes(series, show, color) {
    const span = spanOf(show.span, series.start);
    const [low, high] = extent(series, show, span);
    const isLog = show.log && low > 0;
    const ends = isLog ? [Math.log10(low), Math.log10(high)] : [low, high];
    const margin = 0.05 * (ends[1] - ends[0]) || 0.01 * Math.abs(ends[1]) || 1;
    const line = { gridcolor: color("line"), linecolor: color("muted"), zeroline: false, automargin: true };
    const isDaily = nightcast.index.daily;
    return {
      xaxis: {
        ...line, showgrid: false, type: isDaily ? "date" : "category", categoryorder: "array", categoryarray: series.x, nticks: innerWidth < 640 ? 4 : 8,
        range: isDaily ? span.map(at => series.x[at]) : span, fixedrange: !MOUSE_DRAGS,
        spikecolor: color("muted"), spikethickness: 1, spikedash: "dot",
      },
      yaxis: {
        ...line, type: isLog ? "log" : "linear", range: [ends[0] - margin, ends[1] + margin],
        fixedrange: !MOUSE_DRAGS, nticks: 7, tickformat: "~r", hoverformat: "~r",
      },
    };
  }

  // Draw a series into an element. `show` has the `bands`, `past`, `log` and the `span`.
  nightcast.drawChart = async (element, position, values, show) => {
    const { index } = nightcast;
    const price = index.values.price[position];
    const start = index.values.cutoff[position];
    const series = {
      ...values, start, x: index.times.map(seconds => formats.time(seconds, index.daily)), last: price,
      size: Math.max(Math.abs(price), index.values.high[position] - index.values.low[position]),
    };
    const color = colours();
    const traces = [...(show.past ? pastTraces(series, color) : []), ...fanTraces(series, show, color),
      priceTrace(series, color)];
    const layout = {
      ...axes(series, show, color), showlegend: false, hovermode: "x unified",
      dragmode: MOUSE_DRAGS ? "zoom" : false, margin: { l: 44, r: 10, t: 10, b: 30 },
      paper_bgcolor: "transparent", plot_bgcolor: "transparent",
      font: { family: getComputedStyle(document.body).fontFamily, color: color("muted"), size: 12 },
      hoverlabel: { bgcolor: color("card"), bordercolor: color("line"), font: { color: color("ink") } },
      shapes: [{
        type: "line", x0: series.x[start], x1: series.x[start], yref: "paper", y0: 0, y1: 1,
        line: { color: color("muted"), width: 1, dash: "dot" }, layer: "below",
      }],
    };
    const config = {
      displaylogo: false, responsive: true, doubleClick: false, displayModeBar: false, scrollZoom: false,
    };
    await Plotly.react(element, traces, layout, config);
  };
})();
