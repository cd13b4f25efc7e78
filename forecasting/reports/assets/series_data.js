"use strict";
// The data beside the page: the index of all series, and the values of a series when it is opened.
(() => {
  const shards = new Map(); // number -> promise of a shard
  const arrived = new Map(); // number -> what its script brought

  nightcast.setIndex = index => { nightcast.index = index; };
  nightcast.addShard = (number, record) => arrived.set(number, record);

  // A page that is opened from disk may not fetch the files beside it, but may run scripts there.
  nightcast.loadScript = source => new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = source;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`${source} cannot be read`));
    document.head.append(script);
  });

  async function inflate(text) {
    const packed = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  async function loadShard(number) {
    await nightcast.loadScript(`${nightcast.folder}/series-${String(number).padStart(3, "0")}.js`);
    const { units, starts, data } = arrived.get(number);
    arrived.delete(number);
    return { units, starts, bytes: await inflate(data) };
  }

  // One series' values in the order of `ChartData`: `pack` in `chart_data.py` says how they are packed.
  function unpack({ units, bytes }, row, width) {
    const count = units.length * width;
    const isThere = 4 * count + row * Math.ceil(width / 8);
    const values = new Float64Array(width);
    let whole = 0;
    for (let at = 0, from = row * width; at < width; at++, from++) {
      const code = (bytes[from] | bytes[from + count] << 8 | bytes[from + 2 * count] << 16
        | bytes[from + 3 * count] << 24) >>> 0;
      whole += (code >>> 1) ^ -(code & 1);
      values[at] = bytes[isThere + (at >> 3)] & (128 >> (at & 7)) ? whole * units[row] : NaN;
    }
    return values;
  }

  // A promise of the values of the series at a position of the index: `price` on the grid up to the as_of,
  // `fan` and each past forecast's `curves` by the name of the quantile, from the bar after `start` on.
  nightcast.loadSeries = async position => {
    const { shard: size, history, horizon, fan, past, pastCurves } = nightcast.index;
    const number = Math.floor(position / size);
    if (!shards.has(number)) {
      shards.set(number, loadShard(number));
      shards.get(number).catch(() => shards.delete(number)); // so that opening the series again tries again
    }
    const shard = await shards.get(number);
    const row = position % size;
    const curves = fan.length + past.length * pastCurves.length;
    const values = unpack(shard, row, history + curves * horizon);
    let taken = history;
    const next = names => Object.fromEntries(names.map(name => {
      taken += horizon;
      return [name, values.subarray(taken - horizon, taken)];
    }));
    return {
      price: values.subarray(0, history),
      fan: next(fan),
      past: past.map((asOf, at) => ({ asOf, start: shard.starts[row][at], curves: next(pastCurves) })),
    };
  };
})();
