// The three views: each gives a node, and what shows the chosen word in it.

// One row a step, in the order of reading: the word that is read, and before it its past, shaded.
function drawReading({ weights, texts, limit }) {
  const steps = Array.from({ length: weights.rows }, (_, t) => t);
  const lines = steps.map((t) => readingRow(weights, texts, limit, t));
  const order = weights.direction === "backward" ? [...lines].reverse() : lines;
  const node = make("div", { "aria-hidden": "true" }, ...order);
  let marked = [];
  return {
    node,
    choose(word) {
      for (const element of marked) element.classList.remove("on");
      const selector = word && `[data-text="${word.text}"][data-at="${word.at}"]`;
      marked = word ? [...node.querySelectorAll(selector)] : [];
      if (word && word.text === weights.queries) marked.push(lines[word.at]);
      for (const element of marked) element.classList.add("on");
    },
  };
}

function readingRow(weights, texts, limit, t) {
  const { queries, keys } = weights;
  const now = make("span", { class: "now", ...stands(queries, t) }, texts[queries][t]);
  const past = weights.row(t).map(({ to, weight }) => {
    const shade = weight >= limit ? weights.shade(weight) : 0;
    const look = { class: isDeep(shade) ? "shade deep" : "shade", style: shadeStyle(shade) };
    return make("span", { ...look, ...stands(keys, to) }, texts[keys][to]);
  });
  const words = weights.direction === "forward" ? [...past, now] : [now, ...past];
  const spaced = words.flatMap((word) => [word, " "]);
  return make("div", { class: "reads" }, ...spaced);
}

// The words in a line, or in a column where a line has no room, and an arc for every link; across
// texts two columns. At rest words show their strongest links only, a chosen word all of its own.
function drawArcs({ weights, texts, limit, width }) {
  const shown = weights.links().filter(({ weight }) => weight >= Math.max(limit, LEAST));
  const place = weights.within
    ? inLine(texts, weights.keys, width) ?? inColumn(texts, weights.keys, width)
    : inColumns(texts, weights, width);
  const best = Array.from({ length: weights.rows }, (_, t) =>
    strongest(weights.row(t)).slice(0, data.links).map(({ to }) => to));
  const order = [...shown].sort((a, b) => a.weight - b.weight);
  const rank = ({ from, to }) => best[from].indexOf(to);
  const paths = order.map((link) => arcPath(link, weights, place, rank(link)));
  const words = place.words.map(({ word, ...at }) => svg("text", at, word));
  const label = "Arcs from each token to those it attends; the table below has the numbers";
  const size = { width: place.width, height: place.height };
  const node = svg("svg", { ...size, role: "img", "aria-label": label }, ...paths, ...words);
  const groups = { on: grouped(order, paths, "from"), by: grouped(order, paths, "to") };
  return { node, choose: arcChooser(node, groups, words, weights) };
}

function arcPath(link, weights, place, rank) {
  const shade = weights.shade(link.weight);
  const look = rank === 0
    ? { class: "link", "stroke-width": (1.5 + 4.5 * shade).toFixed(2) }
    : { class: rank > 0 ? "link" : "link weak", "stroke-width": (0.5 + 3 * shade).toFixed(2) };
  return svg("path", { d: place.path(link), style: shadeStyle(shade), ...look });
}

// The paths of the links that share a word at one end, by that word.
function grouped(links, paths, end) {
  const groups = {};
  links.forEach((link, k) => (groups[link[end]] ??= []).push(paths[k]));
  return groups;
}

// What marks the links of a chosen word: those by which it attends "on", those by which it is
// attended "by". Only what changes is touched, since there are many links.
function arcChooser(node, groups, words, weights) {
  let marked = [];
  const mark = (elements = [], name) => {
    for (const element of elements) element.classList.add(name);
    marked.push(...elements);
  };
  return (word) => {
    for (const element of marked) element.classList.remove("on", "by");
    marked = [];
    node.classList.toggle("picked", word !== null);
    if (word === null) return;
    if (word.text === weights.queries) mark(groups.on[word.at], "on");
    if (word.text === weights.keys) mark(groups.by[word.at], "by");
    mark(words.filter((element) => isWord(element, word)), "on");
  };
}

const HANDLES = 4 / 3; // a cubic's top is at three quarters of its handles' height
const cubic = (start, ...points) => `M${start}C${points.join(" ")}`;

// Places of the words and paths between them; null where the line is wider than the page.
function inLine(texts, text, width) {
  const words = texts[text], gap = 12, widths = words.map(widthOf);
  const whole = widths.reduce((sum, one) => sum + one + gap, gap);
  if (whole > width) return null;
  const centres = [];
  widths.reduce((left, one) => (centres.push(left + one / 2), left + one + gap), gap);
  const longest = centres.at(-1) - centres[0] || 1;
  const rise = Math.min(220, 40 + longest / 3), base = rise + 8;
  const path = ({ from, to }) => {
    const a = centres[from], b = centres[to];
    const high = base - HANDLES * rise * (Math.abs(a - b) / longest) ** 0.7;
    return cubic([a, base], [a, high], [b, high], [b, base]);
  };
  const places = words.map((word, at) => ({
    word, ...stands(text, at), x: centres[at], y: rise + 26, "text-anchor": "middle",
  }));
  return { words: places, path, width: whole, height: rise + 36 };
}

function inColumn(texts, text, width) {
  const words = texts[text];
  const depth = Math.min(260, width * 0.5), step = 21, left = depth + 8;
  const path = ({ from, to }) => {
    const a = 14 + from * step, b = 14 + to * step;
    const share = Math.abs(from - to) / Math.max(1, words.length - 1);
    const far = left - HANDLES * (6 + (depth - 12) * share ** 0.7);
    return cubic([left, a], [far, a], [far, b], [left, b]);
  };
  const places = words.map((word, at) => ({
    word, ...stands(text, at), x: left + 8, y: 19 + at * step,
  }));
  const wide = left + 16 + widest(words);
  return { words: places, path, width: wide, height: 14 + words.length * step };
}

function inColumns(texts, weights, width) {
  const sides = [texts[weights.queries], texts[weights.keys]], step = 21;
  const [left, right] = sides.map(widest);
  const between = Math.max(80, Math.min(320, width - left - right - 32));
  const ends = [left + 8, left + 8 + between];
  const height = 14 + step * Math.max(...sides.map((words) => words.length));
  const y = (side, at) => 14 + at * step + ((height - 14) - step * sides[side].length) / 2;
  const path = ({ from, to }) => {
    const middle = (ends[0] + ends[1]) / 2, a = y(0, from), b = y(1, to);
    return cubic([ends[0], a], [middle, a], [middle, b], [ends[1], b]);
  };
  const places = [weights.queries, weights.keys].flatMap((text, side) =>
    sides[side].map((word, at) => ({
      word, ...stands(text, at), x: ends[side] + (side ? 6 : -6), y: y(side, at) + 5,
      "text-anchor": side ? "start" : "end",
    })));
  return { words: places, path, width: ends[1] + right + 16, height };
}

// Rows are the words that attend, columns those attended.
const LEAN = 70; // pixels, by which the last column's name may lean out

function drawMatrix({ weights, texts, limit, width }) {
  const rows = texts[weights.queries], columns = texts[weights.keys];
  const left = 8 + Math.min(160, widest(rows));
  const top = 12 + Math.min(140, widest(columns) * 0.87);
  const room = Math.floor((width - left - LEAN) / columns.length);
  const cell = Math.max(14, Math.min(30, room));
  const cells = weights.links().filter(({ weight }) => weight > 0 && weight >= limit);
  const squares = cells.map(({ from, to, weight }) =>
    svg("rect", {
      x: left + to * cell, y: top + from * cell, width: cell - 1, height: cell - 1,
      class: "shade", style: shadeStyle(weights.shade(weight)),
      ...stands(weights.queries, from),
    }));
  const names = [
    ...rows.map((word, t) => {
      const place = { x: left - 6, y: top + (t + 0.5) * cell + 4, "text-anchor": "end" };
      return svg("text", { ...place, ...stands(weights.queries, t) }, short(word, 22));
    }),
    ...columns.map((word, s) => {
      const place = `translate(${left + (s + 0.5) * cell + 4} ${top - 6}) rotate(-60)`;
      return svg("text", { transform: place, ...stands(weights.keys, s) }, short(word, 22));
    }),
  ];
  const across = { width: columns.length * cell, height: rows.length * cell };
  const rowFrame = frame({ x: left, width: across.width, height: cell });
  const columnFrame = frame({ y: top, width: cell, height: across.height });
  const border = svg("rect", { x: left - 0.5, y: top - 0.5, ...across, class: "frame axis" });
  const label = "Matrix of weights; the table below has the numbers";
  const size = { width: left + across.width + LEAN, height: top + across.height + 4 };
  const node = svg("svg", { ...size, role: "img", "aria-label": label },
    border, ...squares, ...names, rowFrame, columnFrame);
  return {
    node,
    choose(word) {
      const isQuery = word?.text === weights.queries, isKey = word?.text === weights.keys;
      rowFrame.style.display = isQuery ? "" : "none";
      columnFrame.style.display = isKey ? "" : "none";
      if (isQuery) rowFrame.setAttribute("y", top + word.at * cell - 0.5);
      if (isKey) columnFrame.setAttribute("x", left + word.at * cell - 0.5);
      for (const name of names) name.classList.toggle("on", isWord(name, word));
    },
  };
}

const frame = (size) => svg("rect", { class: "frame", style: "display: none", ...size });
