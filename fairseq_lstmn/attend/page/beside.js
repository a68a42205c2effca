// What stands beside the text: the classes, numbers or the alignment, and attention over distance.
function drawBeside(line, weights) {
  const parts = [];
  if (line.probabilities) parts.push(titled("Classes", classes(line.probabilities)));
  const values = line.values && tableOf(["output", "value"], Object.entries(line.values));
  if (values) parts.push(titled("Regression", values));
  if (line.alignment) parts.push(titled("Alignment", alignment(line)));
  if (weights.within) parts.push(titled("Mean weight by distance", histogram(weights)));
  return parts;
}

const titled = (title, node) => make("div", {}, make("h2", {}, title), node);

function classes(probabilities) {
  const bars = Object.entries(probabilities).flatMap(([name, share]) => [
    make("span", {}, name),
    make("i", { style: `width:${(100 * share).toFixed(1)}%`, "aria-hidden": "true" }),
    make("span", {}, number(share)),
  ]);
  return make("div", { class: "classes" }, ...bars);
}

// Which word of the source the topmost layer attends most, for every word that is written.
function alignment({ texts, alignment: aligned }) {
  const rows = texts.target.map((word, t) => [word, texts.source[aligned[t]]]);
  return tableOf(["target", "source"], rows);
}

function histogram(weights) {
  const sums = [], counts = [];
  for (const { from, to, weight } of weights.links()) {
    const distance = Math.abs(from - to);
    sums[distance] = (sums[distance] ?? 0) + weight;
    counts[distance] = (counts[distance] ?? 0) + 1;
  }
  const means = sums.map((sum, distance) => sum / counts[distance]).slice(1);
  const left = 36, wide = 240, high = 90, step = wide / Math.max(1, means.length);
  const top = Math.max(...means, 0.01);
  const bars = means.map((mean, k) =>
    svg("rect", {
      class: "bar", x: left + k * step, width: Math.max(0.5, Math.min(24, step - 1)),
      y: 12 + high * (1 - mean / top), height: (high * mean) / top,
    }));
  const note = (x, y, text, anchor) =>
    svg("text", { class: "small", x, y, "text-anchor": anchor }, text);
  const words = means.slice(0, 10).map((mean, k) => `${k + 1}: ${number(mean)}`).join(", ");
  const label = `Mean weight by distance in tokens, ${words}`;
  const size = { viewBox: `0 0 ${left + wide + 10} ${high + 48}`, width: left + wide + 10 };
  return svg("svg", { ...size, role: "img", "aria-label": label }, ...bars,
    svg("path", { class: "axis", d: `M${left} ${high + 12.5}h${wide + 4}` }),
    note(left - 4, 20, number(top), "end"), note(left - 4, high + 12, "0", "end"),
    note(left, high + 27, "1", "start"), note(left + wide, high + 27, String(means.length), "end"),
    note(left + wide / 2, high + 42, "distance in tokens", "middle"));
}

// The table that stands in for the pictures.
function drawTable(line, weights) {
  const { texts, unknown = {}, surprisals = {} } = line;
  const bits = surprisals[weights.queries];
  const isUnknown = (t) => unknown[weights.queries]?.includes(t);
  const rows = texts[weights.queries].map((word, t) => [
    isUnknown(t) ? `${word} (unknown)` : word,
    ...(bits ? [bits[t] === null ? "" : bits[t].toFixed(1)] : []),
    listed(weights.row(t), texts[weights.keys], "to", 5),
    ...(weights.within ? [listed(weights.column(t), texts[weights.queries], "from", 5)] : []),
  ]);
  const header = ["token", ...(bits ? ["surprisal, bits"] : []), "attends most",
    ...(weights.within ? ["is attended most by"] : [])];
  return tableOf(header, rows);
}
