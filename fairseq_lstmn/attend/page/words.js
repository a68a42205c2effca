// The texts as rows of buttons, shaded for the chosen word, and its numbers.
function drawWords(line, weights) {
  const names = [...new Set([weights.queries, weights.keys])];
  const buttons = Object.fromEntries(names.map((name) => [name, wordButtons(line, name)]));
  const rows = names.map((name) =>
    make("div", { class: "text", role: "group", "aria-label": name },
      ...(names.length > 1 ? [make("b", {}, name)] : []), ...buttons[name]));
  return { names, buttons, rows };
}

function wordButtons({ texts, unknown = {}, surprisals = {} }, name) {
  const unknownAt = new Set(unknown[name]), bits = surprisals[name];
  return texts[name].map((word, at) => {
    const look = {
      type: "button",
      tabindex: at ? -1 : 0,
      class: unknownAt.has(at) ? "word unknown" : "word",
      title: unknownAt.has(at) ? "unknown to the model" : null,
    };
    const below = bits ? [make("small", {}, bits[at] === null ? "–" : bits[at].toFixed(1))] : [];
    return make("button", { ...look, ...stands(name, at) }, make("span", {}, word), ...below);
  });
}

// What the looks of the words say, of those that the texts of these names have.
function drawLegend({ unknown = {}, surprisals = {} }, names) {
  const entry = (look, sample, text) =>
    make("span", {}, make("span", { class: "word", ...look }, make("span", {}, sample)), ` ${text}`);
  return [
    entry({ style: "--w:0.5" }, "token", "is attended by the chosen one"),
    entry({ style: "--by:1" }, "token", "attends it"),
    ...(names.some((name) => unknown[name]?.length)
      ? [entry({ class: "word unknown" }, "token", "is unknown to the model")] : []),
    ...(names.some((name) => surprisals[name])
      ? [make("span", {}, "number: surprisal in bits")] : []),
  ];
}

function shadeWords({ names, buttons }, weights, word) {
  for (const button of names.flatMap((name) => buttons[name])) {
    const { text, at } = button.dataset;
    button.classList.toggle("on", isWord(button, word));
    const isKey = word?.text === weights.queries && text === weights.keys;
    const isQuery = word?.text === weights.keys && text === weights.queries;
    const attended = isKey ? weights.shade(weights.at(word.at, Number(at))) : 0;
    const attending = isQuery ? weights.shade(weights.at(Number(at), word.at)) : 0;
    button.style.setProperty("--w", attended);
    button.style.setProperty("--by", attending);
    button.classList.toggle("deep", isDeep(attended));
  }
}

const HINT = "Point at a token to see what it attends and what attends it; a click holds it, " +
  "arrow keys go on, Escape lets go.";

function drawNumbers(line, weights, word, held) {
  if (word === null) return [make("p", {}, HINT)];
  const { texts } = line, lines = [];
  const list = (...links) => listed(...links, 6) || "nothing";
  if (word.text === weights.queries)
    lines.push(`attends ${list(weights.row(word.at), texts[weights.keys], "to")}`);
  if (word.text === weights.keys)
    lines.push(`is attended by ${list(weights.column(word.at), texts[weights.queries], "from")}`);
  const facts = factsOf(line, word, held);
  const name = make("b", {}, texts[word.text][word.at]);
  const title = make("p", {}, name, facts.length ? ` (${facts.join(", ")})` : "");
  return [title, ...lines.map((text) => make("p", {}, text))];
}

function factsOf({ surprisals = {}, unknown = {} }, word, held) {
  const bits = surprisals[word.text]?.[word.at];
  return [
    ...(bits == null ? [] : [`surprisal ${bits.toFixed(2)} bits`]),
    ...(unknown[word.text]?.includes(word.at) ? ["unknown to the model"] : []),
    ...(held ? ["held"] : []),
  ];
}
