// The texts as rows of buttons, shaded for the chosen word, and its numbers.
function drawWords(line, weights) {
  const names = [...new Set([weights.asks, weights.reads])];
  const buttons = Object.fromEntries(names.map((name) => [name, wordButtons(line, name)]));
  const rows = names.map((name) =>
    make("div", { class: "text", role: "group", "aria-label": name },
      ...(names.length > 1 ? [make("b", {}, name)] : []), ...buttons[name]));
  return { names, buttons, rows };
}

function wordButtons({ texts, unknown = {}, surprisals = {} }, name) {
  const strange = new Set(unknown[name]);
  return texts[name].map((word, at) => {
    const bits = surprisals[name]?.[at];
    const look = strange.has(at) ? { class: "word unknown", title: "unknown to the model" } : { class: "word" };
    const below = surprisals[name] ? [make("small", { title: "surprisal in bits" }, bits == null ? "–" : bits.toFixed(1))] : [];
    return make("button", { type: "button", tabindex: at ? -1 : 0, ...look, ...stands(name, at) }, word, ...below);
  });
}

function shadeWords({ names, buttons }, weights, word) {
  for (const button of names.flatMap((name) => buttons[name])) {
    const { text, at } = button.dataset;
    const on = word !== null && text === word.text && Number(at) === word.at;
    button.classList.toggle("on", on);
    const asked = word !== null && word.text === weights.asks && text === weights.reads;
    const asking = word !== null && word.text === weights.reads && text === weights.asks;
    const attended = asked ? weights.shade(weights.at(word.at, Number(at))) : 0;
    button.style.setProperty("--w", attended);
    button.style.setProperty("--by", asking ? weights.shade(weights.at(Number(at), word.at)) : 0);
    button.classList.toggle("deep", attended > DEEP);
  }
}

function drawNumbers(line, weights, word, held) {
  if (word === null)
    return [make("p", {}, "Point at a word to see what it attends and what attends it; a click holds it, arrow keys go on, Escape lets go.")];
  const { texts, surprisals = {}, unknown = {} } = line;
  const bits = surprisals[word.text]?.[word.at];
  const facts = [
    ...(bits == null ? [] : [`surprisal ${bits.toFixed(2)} bits`]),
    ...(unknown[word.text]?.includes(word.at) ? ["unknown to the model"] : []),
    ...(held ? ["held"] : []),
  ];
  const listed = (links, text, end) => {
    const most = strongest(links).slice(0, 6).filter(({ weight }) => weight > 0);
    return most.map((link) => `${texts[text][link[end]]} ${number(link.weight)}`).join(" · ") || "nothing";
  };
  const title = make("p", {}, make("b", {}, texts[word.text][word.at]), facts.length ? ` (${facts.join(", ")})` : "");
  const lines = [];
  if (word.text === weights.asks) lines.push(`attends ${listed(weights.row(word.at), weights.reads, "to")}`);
  if (word.text === weights.reads) lines.push(`is attended by ${listed(weights.column(word.at), weights.asks, "from")}`);
  return [title, ...lines.map((text) => make("p", {}, text))];
}
