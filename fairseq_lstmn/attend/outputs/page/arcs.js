// The words in a line, or in a column where a line has no room, and an arc for every link; across
// texts two columns. At rest words show their strongest links only, a chosen word all of its own.
const AT_REST = 3;

function drawArcs({ weights, texts, limit, width }) {
  const shown = weights.links().filter(({ weight }) => weight >= Math.max(limit, LEAST));
  const place = weights.within
    ? inLine(texts, weights.reads, width) ?? inColumn(texts, weights.reads, width)
    : inColumns(texts, weights, width);
  const best = Array.from({ length: weights.rows }, (_, t) =>
    strongest(weights.row(t)).slice(0, AT_REST).map(({ to }) => to));
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
  return svg("path", { d: place.path(link), style: `--w:${shade.toFixed(3)}`, ...look });
}

// The paths of the links that share a word at one end, by that word.
function grouped(links, paths, end) {
  const found = {};
  links.forEach((link, k) => (found[link[end]] ??= []).push(paths[k]));
  return found;
}

// What marks the links of a chosen word: those by which it asks "on", those by which it is asked
// "by". Only what changes is touched, since there are many links.
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
    if (word.text === weights.asks) mark(groups.on[word.at], "on");
    if (word.text === weights.reads) mark(groups.by[word.at], "by");
    mark(words.filter((element) => isWord(element, word)), "on");
  };
}

// Places of the words and paths between them; null where the line is wider than the page.
function inLine(texts, text, width) {
  const words = texts[text], gap = 12, widths = words.map(widthOf);
  const whole = widths.reduce((sum, one) => sum + one + gap, gap);
  if (whole > width) return null;
  const centres = [];
  widths.reduce((left, one) => (centres.push(left + one / 2), left + one + gap), gap);
  const longest = centres.at(-1) - centres[0] || 1;
  const rise = Math.min(220, 40 + longest / 3);
  const path = ({ from, to }) => {
    const across = Math.abs(centres[from] - centres[to]);
    const high = rise * (across / longest) ** 0.7;
    const [a, b] = [centres[from], centres[to]].sort((x, y) => x - y);
    const base = rise + 8, radii = `${(across / 2).toFixed(1)} ${high.toFixed(1)}`;
    return `M${a.toFixed(1)} ${base}A${radii} 0 0 1 ${b.toFixed(1)} ${base}`;
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
    const steps = Math.abs(from - to);
    const far = 6 + (depth - 12) * (steps / Math.max(1, words.length - 1)) ** 0.7;
    const [a, b] = [from, to].sort((x, y) => x - y).map((at) => 14 + at * step);
    return `M${left} ${a}A${far.toFixed(1)} ${(step * steps) / 2} 0 0 0 ${left} ${b}`;
  };
  const places = words.map((word, at) => ({
    word, ...stands(text, at), x: left + 8, y: 19 + at * step,
  }));
  const wide = left + 16 + Math.max(...words.map(widthOf));
  return { words: places, path, width: wide, height: 14 + words.length * step };
}

function inColumns(texts, weights, width) {
  const sides = [texts[weights.asks], texts[weights.reads]], step = 21;
  const [left, right] = sides.map((words) => Math.max(...words.map(widthOf)));
  const between = Math.max(80, Math.min(320, width - left - right - 32));
  const ends = [left + 8, left + 8 + between];
  const height = 14 + step * Math.max(...sides.map((words) => words.length));
  const y = (side, at) => 14 + at * step + ((height - 14) - step * sides[side].length) / 2;
  const path = ({ from, to }) => {
    const middle = (ends[0] + ends[1]) / 2, a = y(0, from), b = y(1, to);
    return `M${ends[0]} ${a}C${middle} ${a} ${middle} ${b} ${ends[1]} ${b}`;
  };
  const places = [weights.asks, weights.reads].flatMap((text, side) =>
    sides[side].map((word, at) => ({
      word, ...stands(text, at), x: ends[side] + (side ? 6 : -6), y: y(side, at) + 5,
      "text-anchor": side ? "start" : "end",
    })));
  return { words: places, path, width: ends[1] + right + 16, height };
}
