"use strict";
// The card of one panel on the landing page, and the list of its past reports.

const STATES = {
  fresh: "fresh", stale: "stale", failed: "failed", never: "without a forecast", unreadable: "unreadable",
};
const DATES_SHOWN = 270; // a year of nights
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const FREQUENCIES = { "1M": "months", "1W": "weeks", "1D": "days", "1h": "hours" };

// Returns the card as an element, and a function that fits it to the time of viewing.
function drawCard(card, datesScript, isOpen) {
  const pill = make("span", { className: "pill" });
  const times = make("p", { className: "times" });
  const problem = make("div", { className: "warnings", role: "note" });
  const about = make("details", { className: "about", open: isOpen }, make("summary", {}, "Details"));
  const element = make("article", { className: "panel", id: `panel-${card.panel}` },
    make("div", { className: "head" },
      make("div", { className: "who" }, make("h2", {}, title(card), " ", pill), times),
      ...figures(card)),
    problem, links(card, datesScript, card.forecast ? about : null));
  about.addEventListener("toggle", () => {
    if (about.open && about.childElementCount === 1) about.append(details(card));
  });

  function update(now) {
    const state = stateOf(card, now);
    const warnings = [...state.reason ? [state.reason] : [], ...state.notes.filter(note => !isSaid(card, note)), ...card.warnings];
    pill.dataset.state = element.dataset.state = state.state;
    pill.textContent = STATES[state.state];
    times.replaceChildren(...timesOf(card, now));
    problem.hidden = !warnings.length;
    problem.dataset.state = state.state;
    problem.replaceChildren(make("ul", {}, ...warnings.map(text => make("li", {}, sentence(text)))));
  }
  return { element, update };
}

// Some notes of the state say what a warning of the forecast says with its reason.
function isSaid(card, note) {
  return note.startsWith("provisional") || note.startsWith("a baseline") || card.warnings.includes(note);
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
}

function title(card) {
  return card.forecast ? make("a", { href: url(card.forecast.report) }, card.panel) : card.panel;
}

// A path of the store as a relative address: ids may have any character.
function url(path) {
  return path.split("/").map(encodeURIComponent).join("/").replaceAll("%3D", "=");
}

function moment(text) {
  const at = new Date(text);
  const shown = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return make("time", { dateTime: text, title: `${at.toISOString().slice(0, 16).replace("T", " ")} UTC` }, shown);
}

function timesOf(card, now) {
  const next = card.due.find(due => Date.parse(due) > now), last = card.due.findLast(due => Date.parse(due) <= now);
  const parts = [];
  if (card.forecast) {
    const published = card.forecast.published_at;
    parts.push([term("as of"), ` ${dateText(card.forecast.as_of)}`]);
    parts.push([`published ${duration(now - Date.parse(published))} ago (`, moment(published), ")"]);
  }
  if (last) parts.push([`a run was due ${duration(now - Date.parse(last))} ago`]);
  if (next) parts.push([`next run due in ${duration(Date.parse(next) - now)}`]);
  return parts.map(part => make("span", {}, ...part));
}

// `2026-10-30` as `30 Oct 2026`, and `2026-10-30T1400Z` as `30 Oct 2026 14:00 UTC`.
function dateText(label) {
  const [year, month, day] = label.slice(0, 10).split("-").map(Number);
  const time = label.length > 10 ? ` ${label.slice(11, 13)}:${label.slice(13, 15)} UTC` : "";
  return `${day} ${MONTHS[month - 1]} ${year}${time}`;
}

function figure(label, value, note = "") {
  return make("div", { className: "figure" }, make("span", { className: "label" }, label),
    make("b", {}, value), make("small", {}, note));
}

// The numbers of the head: skill, coverage and moods.
function figures(card) {
  if (!card.forecast) return [];
  const track = card.scores.at(-1), { forecast, moods } = card;
  const where = track ? `${track.days} days, ${originText(track)}` : "holdout";
  const found = [
    figure(term("skill"), percent(skillOf(card), { signed: true }), where),
    figure(term("80% interval", "in 80%"), percent(track ? track.coverage : forecast.holdout_coverage), where),
  ];
  if (moods) {
    const count = make("span", {}, make("span", { className: "nervous" }, String(moods.nervous)), " / ",
      make("span", { className: "calm" }, String(moods.calm)));
    found.push(figure(term("nervous", "nervous / calm"), count, `of ${moods.compared} series`));
  }
  return found;
}

function originText(track) {
  return track.origin === "live" ? "live" : "backfilled";
}

function links(card, datesScript, about) {
  const past = make("details", { className: "past" },
    make("summary", {}, `Past reports (${card.reports.toLocaleString()})`));
  past.addEventListener("toggle", () => {
    if (past.open && past.childElementCount === 1) past.append(loadDates(card, datesScript));
  });
  return make("div", { className: "links" },
    card.forecast ? make("a", { className: "main", href: url(card.forecast.report) }, "Newest report") : null,
    card.forecast ? make("a", { href: url(card.forecast.table) }, "Parquet") : null,
    card.reports ? past : null, about);
}

function details(card) {
  const { forecast } = card;
  const parts = [make("section", {}, make("h3", {}, "Tonight"), ...tonight(card))];
  if (card.scores.length) {
    const which = `Track record, ${originText(card.scores[0])} forecasts`;
    parts.push(make("section", {}, make("h3", {}, which), trackTable(card.scores)));
  }
  parts.push(make("section", {}, make("h3", {}, "Who publishes"),
    make("p", {}, make("b", {}, forecast.model), ...forecast.is_baseline ? [" (", term("stand-in"), ")"] : [], why(forecast)),
    make("p", { className: "muted" }, forecast.next_step),
    forecast.holdout_skill === null ? null : make("p", { className: "muted" }, "On the ", term("holdout"),
      `: skill ${percent(forecast.holdout_skill, { signed: true })}, `
      + `${percent(forecast.holdout_coverage)} of prices inside the 80% interval.`)));
  return make("div", { className: "body" }, ...parts);
}

// The reason as the rest of a sentence that begins with the model.
function why({ model, reason }) {
  if (reason.startsWith(`${model} `)) return reason.slice(model.length);
  return reason ? `: ${reason}` : ".";
}

function tonight(card) {
  const { forecast, moods } = card, bars = FREQUENCIES[card.freq] ?? `bars of ${card.freq}`;
  const scope = `${forecast.series.toLocaleString()} series, ${card.horizon} ${bars} ahead`
    + (forecast.left_out ? `; ${forecast.left_out.toLocaleString()} left out` : "");
  if (!moods) return [make("p", {}, `${scope}.`), make("p", { className: "muted" }, "No series is called calm or nervous tonight.")];
  return [make("p", {}, `${scope}.`), ...chips("nervous", moods.nervous, moods.most_nervous),
    ...chips("calm", moods.calm, moods.calmest)];
}

function chips(mood, count, series) {
  const more = count - series.length;
  return [make("div", { className: "chips" },
    make("span", { className: `${mood} label` }, `${count} ${mood}`),
    ...series.map(([name, percentile]) =>
      make("span", { className: "chip", dataset: { mood } }, `${name} `, make("small", {}, ordinal(percentile)))),
    more > 0 ? make("span", { className: "muted" }, `and ${more.toLocaleString()} more`) : null)];
}

function trackTable(scores) {
  const row = score => make("tr", {},
    make("th", { scope: "row" }, `${score.days} days`,
      make("small", {}, `${score.forecasts.toLocaleString()} forecasts, ${score.independent} `, term("independent"))),
    make("td", {}, withError(percent(score.skill, { signed: true }), score.skill_error)),
    make("td", {}, withError(percent(score.coverage), score.coverage_error)));
  const heading = content => make("th", { scope: "col" }, content);
  return make("table", { className: "track" },
    make("thead", {}, make("tr", {}, heading(""), heading(term("skill", "Skill")), heading(term("80% interval", "In 80%")))),
    make("tbody", {}, ...scores.map(row)));
}

function withError(text, error) {
  return error === null ? text : `${text} \u00b1 ${percent(error)}`;
}

// The list of past reports is loaded when it is opened: ten years of nights are 75 kB a panel.
function loadDates(card, datesScript) {
  const list = make("div", { className: "dates" }, make("p", { className: "muted" }, "Loading\u2026"));
  const script = make("script", { src: datesScript });
  script.addEventListener("error", () => list.replaceChildren(make("p", {}, `${datesScript} cannot be read.`)));
  nightcast.datesReaders.set(card.panel, reports => showDates(card, list, reports.reverse()));
  document.head.append(script);
  return list;
}

function showDates(card, list, reports) {
  const search = make("input", { type: "search", placeholder: "date, such as 2026-10", autocomplete: "off" });
  const months = make("div");
  const arrange = () => {
    const wanted = search.value.trim().toUpperCase();
    const found = reports.filter(([asOf]) => asOf.includes(wanted));
    months.replaceChildren(...byMonth(card, found.slice(0, DATES_SHOWN)));
    const more = found.length - DATES_SHOWN;
    if (more > 0) months.append(make("p", { className: "muted" }, `${more.toLocaleString()} older ones: type a year, a month or a date.`));
    if (!found.length) months.append(make("p", {}, "No report of that date."));
  };
  search.addEventListener("input", arrange);
  list.replaceChildren(make("label", {}, make("span", {}, "Find"), " ", search), months);
  arrange();
}

function byMonth(card, reports) {
  const months = new Map();
  for (const [asOf, id] of reports) {
    const month = asOf.slice(0, 7);
    if (!months.has(month)) months.set(month, []);
    const path = `forecasts/${card.panel}/as_of=${asOf}/id=${id}/_report.html`;
    const text = asOf.length > 10 ? `${asOf.slice(8, 10)} ${asOf.slice(11, 13)}:${asOf.slice(13, 15)}` : asOf.slice(8);
    months.get(month).push(make("a", { href: url(path), title: dateText(asOf) }, text));
  }
  return [...months].map(([month, days]) => make("div", { className: "month" },
    make("span", { className: "label" }, `${MONTHS[month.slice(5) - 1]} ${month.slice(0, 4)}`),
    make("span", { className: "days" }, ...days)));
}
