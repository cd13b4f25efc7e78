"use strict";
// The landing page: takes in the panels' data, finds, sorts and counts panels. `landing_cards.js` draws them.
// Ages and states follow from the time of viewing: the page lies in the store and is read hours later.
const nightcast = {
  panels: new Map(),
  datesReaders: new Map(),
  // The data scripts call these two.
  addPanel(card) { nightcast.panels.set(card.panel, card); },
  addDates(panel, reports) { nightcast.datesReaders.get(panel)?.(reports); },
};

const ORDER = ["failed", "unreadable", "stale", "never", "fresh"];
const MANY = 8; // with more panels, only those that need attention start unfolded
const UPDATE_EVERY_MS = 30000;

// Returns a new element. `properties` are the element's own, `dataset` and `style` objects included.
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "dataset") Object.assign(element.dataset, value);
    else element[name] = value;
  }
  element.append(...children.filter(child => child !== null && child !== undefined));
  return element;
}

// A word with an explanation behind it. The page has the explanation as a popover of that name.
function term(name, label = name) {
  const button = make("button", { type: "button", className: "term" }, label);
  const meaning = document.getElementById(`term-${name.replaceAll(" ", "-").replace("%", "")}`);
  button.popoverTargetElement = meaning;
  button.addEventListener("click", () => requestAnimationFrame(() => placeBelow(meaning, button)));
  return button;
}

// Puts an open explanation below its word, inside the window.
function placeBelow(meaning, word) {
  const { left, bottom } = word.getBoundingClientRect(), { width, height } = meaning.getBoundingClientRect();
  const [right, lowest] = [document.documentElement.clientWidth - width - 8, innerHeight - height - 8];
  Object.assign(meaning.style, {
    margin: 0, left: `${Math.max(Math.min(left, right), 8)}px`, top: `${Math.max(Math.min(bottom + 6, lowest), 8)}px`,
  });
}

// The state at the time of viewing: the last one that began by then.
function stateOf(card, now) {
  return card.states.findLast((one, number) => number === 0 || Date.parse(one.at) <= now);
}

function needsAttention(card, now) {
  return stateOf(card, now).state !== "fresh";
}

// A duration in its two largest units: `3 d 4 h`, `4 h 5 min`, `5 min`.
function duration(milliseconds) {
  const minutes = Math.max(Math.floor(milliseconds / 60000), 0);
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor(minutes / 60) % 24, minutes % 60];
  if (days) return hours ? `${days} d ${hours} h` : `${days} d`;
  if (hours) return rest ? `${hours} h ${rest} min` : `${hours} h`;
  return minutes ? `${minutes} min` : "less than a minute";
}

function percent(share, { signed = false, digits = 1 } = {}) {
  if (share === null || share === undefined) return "\u2013";
  const text = (100 * share).toFixed(digits).replace("-", "\u2212");
  return `${signed && share > 0 ? "+" : ""}${text}%`;
}

function ordinal(number) {
  const whole = Math.floor(number);
  const teens = whole % 100 >= 11 && whole % 100 <= 13;
  return `${whole}${teens ? "th" : { 1: "st", 2: "nd", 3: "rd" }[whole % 10] ?? "th"}`;
}

// The realised skill; before there is one, that on the holdout.
function skillOf(card) {
  return card.scores.at(-1)?.skill ?? card.forecast?.holdout_skill ?? null;
}

const SORTS = {
  attention: (a, b, now) => rank(a, now) - rank(b, now),
  name: () => 0,
  newest: (a, b) => publishedAt(b) - publishedAt(a),
  nervous: (a, b) => shareNervous(b) - shareNervous(a),
  skill: (a, b) => (skillOf(b) ?? -Infinity) - (skillOf(a) ?? -Infinity) || 0,
};

function rank(card, now) {
  return 2 * ORDER.indexOf(stateOf(card, now).state) - (card.warnings.length ? 1 : 0);
}

function publishedAt(card) {
  return card.forecast ? Date.parse(card.forecast.published_at) : 0;
}

function shareNervous(card) {
  return card.moods ? card.moods.nervous / card.moods.compared : -1;
}

function matches(card, words) {
  const named = [...card.moods?.most_nervous ?? [], ...card.moods?.calmest ?? []].map(([name]) => name);
  const texts = [card.panel, card.forecast?.model ?? "", ...card.warnings, ...named];
  const text = texts.join(" ").toLowerCase();
  return words.every(word => text.includes(word));
}

function overview(cards, now) {
  const count = cards.length === 1 ? "1 panel" : `${cards.length} panels`;
  const states = ORDER.map(state => [cards.filter(card => stateOf(card, now).state === state).length, state]);
  const newest = Math.max(...cards.map(publishedAt));
  const parts = states.filter(([number]) => number).map(([number, state]) =>
    make("span", { className: "pill", dataset: { state } }, `${number} ${STATES[state]}`));
  return [
    count, ...parts,
    newest > 0 ? `newest forecast published ${duration(now - newest)} ago` : "nothing is published yet",
  ];
}

function start() {
  const scripts = [...document.querySelectorAll("script[data-panel]")];
  const cards = scripts.map(script => nightcast.panels.get(script.dataset.panel) ?? unread(script.dataset.panel));
  const dates = new Map(scripts.map(script => [script.dataset.panel, script.dataset.dates]));
  const [panels, search, sort] = ["panels", "search", "sort"].map(id => document.getElementById(id));
  const opened = Date.now();
  const drawn = new Map(cards.map(card => {
    const isOpen = cards.length <= MANY || needsAttention(card, opened) || location.hash === `#panel-${card.panel}`;
    return [card.panel, drawCard(card, dates.get(card.panel), isOpen)];
  }));

  function arrange() {
    const now = Date.now(), words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const shown = cards.filter(card => matches(card, words));
    shown.sort((a, b) => SORTS[sort.value](a, b, now) || a.panel.localeCompare(b.panel));
    panels.replaceChildren(...shown.map(card => drawn.get(card.panel).element));
    document.getElementById("empty").hidden = shown.length > 0;
  }

  function update() {
    const now = Date.now(), waiting = cards.filter(card => needsAttention(card, now)).length;
    for (const card of cards) drawn.get(card.panel).update(now);
    document.getElementById("overview").replaceChildren(...overview(cards, now));
    document.title = waiting ? `(${waiting}) Forecasts` : "Forecasts";
  }

  function showAll() {
    for (const details of panels.querySelectorAll("details.about")) details.open = true;
  }

  search.addEventListener("input", arrange);
  sort.addEventListener("change", arrange);
  document.getElementById("toolbar").addEventListener("submit", event => event.preventDefault());
  document.getElementById("unfold").addEventListener("click", showAll);
  addEventListener("beforeprint", showAll);
  document.getElementById("toolbar").hidden = cards.length < 2;
  document.getElementById("unfold").hidden = cards.length <= MANY;
  update();
  arrange();
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
  setInterval(update, UPDATE_EVERY_MS);
}

// A panel that the page names, and whose data is missing or damaged.
function unread(panel) {
  const reason = "the data of this panel is missing or damaged; its next run writes it again";
  return {
    panel, states: [{ at: new Date(0).toISOString(), state: "unreadable", reason, notes: [] }],
    due: [], warnings: [], forecast: null, moods: null, scores: [], reports: 0, last_run: null,
  };
}

// All data scripts have run by then: they are deferred, as this one is.
document.addEventListener("DOMContentLoaded", start);
