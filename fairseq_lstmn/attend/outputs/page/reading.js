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
      if (word && word.text === weights.asks) marked.push(lines[word.at]);
      for (const element of marked) element.classList.add("on");
    },
  };
}

function readingRow(weights, texts, limit, t) {
  const now = make("span", { class: "now", ...stands(weights.asks, t) }, texts[weights.asks][t]);
  const past = weights.row(t).map(({ to, weight }) => {
    const shade = weight >= limit ? weights.shade(weight) : 0;
    const look = { class: shade > DEEP ? "shade deep" : "shade", style: `--w:${shade.toFixed(3)}` };
    return make("span", { ...look, ...stands(weights.reads, to) }, texts[weights.reads][to]);
  });
  const words = weights.direction === "forward" ? [...past, now] : [now, ...past];
  const spaced = words.flatMap((word) => [word, " "]);
  return make("div", { class: "reads" }, ...spaced);
}
