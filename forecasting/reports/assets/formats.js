"use strict";
// Numbers and times for people, as `forecasting/formats.py` writes them.
const nightcast = {};

nightcast.formats = (() => {
  const NONE = "\u2013";
  const isMissing = value => value === null || Number.isNaN(value);

  function number(value, decimals) {
    if (isMissing(value)) return NONE;
    const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
    const text = value.toLocaleString("en-US", digits).replace("-", "\u2212");
    return /[1-9]/.test(text) ? text : text.replace("\u2212", "");
  }

  function signed(text) {
    return text.startsWith("\u2212") || !/[1-9]/.test(text) ? text : `+${text}`;
  }

  function percent(share) {
    return isMissing(share) ? NONE : `${number(100 * share, 1)}%`;
  }

  // `size` is the magnitude that decides how many decimals prices have.
  function price(value, size) {
    if (size >= 10000) return number(value, 0);
    if (size >= 10) return number(value, 2);
    if (size >= 1) return number(value, 4);
    return number(value, size > 0 ? Math.min(4 - Math.floor(Math.log10(size)), 20) : 4);
  }

  function change(value, start) {
    if (start > 0) return signed(percent(value / start - 1));
    return signed(price(value - start, Math.max(Math.abs(start), Math.abs(value))));
  }

  function odds(probability) {
    if (isMissing(probability)) return NONE;
    if (probability < 0.001) return "<0.1%";
    return probability > 0.999 ? ">99.9%" : percent(probability);
  }

  function ordinal(value) {
    const whole = Math.round(value);
    const isTeen = whole % 100 >= 10 && whole % 100 < 20;
    return whole + ((!isTeen && ["th", "st", "nd", "rd"][whole % 10]) || "th");
  }

  // `2026-10-30`, or `2026-10-30 14:00` for intraday bars, in UTC.
  function time(seconds, daily) {
    const text = new Date(1000 * seconds).toISOString();
    return daily ? text.slice(0, 10) : text.slice(0, 16).replace("T", " ");
  }

  return { number, signed, percent, price, change, odds, ordinal, time };
})();
