// The words in a line, or in a column where a line has no room, and an arc for every link; across
// texts two columns. At rest words show their strongest links only, a chosen word all of its own.
const AT_REST = 3;

function drawArcs({ weights, texts, limit, width }) {
  const shown = weights.links().filter(({ weight }) => weight > 0 && weight >= limit);
  const place = weights.within
    ? inLine(texts, weights.reads, width) ?? inColumn(texts, weights.reads, width)
    : inColumns(texts, weights, width);
  const best = Array.from({ length: weights.rows }, (_, t) =>
    strongest(weights.row(t)).slice(0, AT_REST).map(({ to }) => to));
  const order = [...shown].sort((a, b) => a.weight - b.weight);
  const rank = ({ from, to }) => best[from].indexOf(to);
  const paths = order.map((link) => arcPath(link, weights, place, rank(link)));
  const words = place.words.map(({ word, ...at }) => svg("text", at, word));
  const label = "Arcs from each word to those it attends; the table below has the numbers";
  const size = { width: place.width, height: place.height };
  const node = svg("svg", { ...size, role: "img", "aria-label": label }, ...paths, ...words);
  return { node, choose: (word) => chooseArcs(node, paths, order, words, weights, word) };
}

function arcPath(link, weights, place, rank) {
  const shade = weights.shade(link.weight);
  const look = rank === 0
    ? { class: "link", "stroke-width": (1.5 + 4.5 * shade).toFixed(2) }
    : { class: rank > 0 ? "link" : "link weak", "stroke-width": (0.5 + 3 * shade).toFixed(2) };
  return svg("path", { d: place.path(link), style: `--w:${shade.toFixed(3)}`, ...look });
}

function chooseArcs(node, paths, order, words, weights, word) {
  node.classList.toggle("picked", word !== null);
  paths.forEach((path, k) => {
    const asks = word && word.text === weights.asks && order[k].from === word.at;
    const reads = word && word.text === weights.reads && order[k].to === word.at;
    path.classList.toggle("on", Boolean(asks));
    path.classList.toggle("by", Boolean(reads));
  });
  for (const element of words) {
    const { text, at } = element.dataset;
    element.classList.toggle("on", text === word?.text && Number(at) === word.at);
  }
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
