// What is shown, and how it follows the pointer and the keys.
const VIEWS = { reading: drawReading, arcs: drawArcs, matrix: drawMatrix };
const shown = { line: null, weights: null, words: null, view: null, word: null, held: false };

function start() {
  const names = data.lines.map((line, k) => make("option", { value: k }, lineName(line)));
  find("line").replaceChildren(...names);
  find("line-label").hidden = data.lines.length < 2;
  find("controls").addEventListener("submit", (event) => event.preventDefault());
  find("line").addEventListener("change", showLine);
  find("map").addEventListener("change", showMap);
  find("limit").addEventListener("input", showView);
  for (const view of document.getElementsByName("view")) view.addEventListener("change", showView);
  document.addEventListener("pointerover", ({ target }) => shown.held || choose(wordOf(target)));
  document.addEventListener("click", ({ target }) => clicked(wordOf(target)));
  document.addEventListener("focusin", ({ target }) => choose(wordOf(target)));
  document.addEventListener("keydown", keyed);
  let width = innerWidth;
  addEventListener("resize", () => innerWidth !== width && ((width = innerWidth), showView()));
  showLine();
}

function lineName(line) {
  const text = line.error ?? Object.values(line.texts)[0].join(" ");
  return `${line.line}: ${short(text, 60)}`;
}

function showLine() {
  shown.line = data.lines[find("line").value || 0];
  const error = shown.line ? shown.line.error : "There is no line.";
  find("error").hidden = !error;
  find("error").textContent = error ? `This line could not be read: ${error}.` : "";
  find("drawn").hidden = Boolean(error);
  find("map-label").hidden = Boolean(error);
  shown.weights = null;
  if (error) return;
  const before = find("map").selectedOptions[0]?.textContent;
  const { maps, opening = 0 } = shown.line;
  const options = maps.map(({ title }, k) => make("option", { value: k }, title));
  find("map").replaceChildren(...options);
  const same = maps.findIndex(({ title }) => title === before);
  find("map").value = same < 0 ? opening : same;
  find("map-label").hidden = options.length < 2;
  showMap();
}

function showMap() {
  const { line } = shown;
  shown.weights = new Weights(line.maps[find("map").value], line.texts);
  shown.words = drawWords(line, shown.weights);
  shown.word = null;
  shown.held = false;
  find("words").replaceChildren(...shown.words.rows);
  find("legend").replaceChildren(...drawLegend(line, shown.words.names));
  find("beside").replaceChildren(...drawBeside(line, shown.weights));
  find("table").replaceChildren(drawTable(line, shown.weights));
  find("caption").textContent = captionOf(line.maps[find("map").value]);
  const { top } = shown.weights;
  find("top").textContent = number(top) + (top < 1 ? " or more" : "");
  showView();
}

function captionOf({ title, queries, keys, direction }) {
  const where = {
    forward: "the tokens before it",
    backward: "the tokens behind it",
    across: `the ${keys}`,
  };
  const token = direction === "across" ? `each token of the ${queries}` : "each token";
  return `${title[0].toUpperCase()}${title.slice(1)}: ${token} attends ${where[direction]}`;
}

function showView() {
  if (!shown.weights) return;
  const view = document.querySelector("[name=view]:checked").value;
  const limit = Number(find("limit").value);
  find("limit-value").textContent = number(limit);
  find("columns").classList.toggle("wide", view !== "reading" && shown.weights.within);
  const width = find("view").clientWidth;
  shown.view = VIEWS[view]({ weights: shown.weights, texts: shown.line.texts, limit, width });
  find("view").replaceChildren(shown.view.node);
  show();
}

function wordOf(target) {
  const element = target instanceof Element ? target.closest("[data-at]") : null;
  return element && { text: element.dataset.text, at: Number(element.dataset.at) };
}

function choose(word) {
  const same = word?.text === shown.word?.text && word?.at === shown.word?.at;
  // between words the last one stays, so that the picture does not flicker
  if (same || word === null) return;
  shown.word = word;
  show();
}

function clicked(word) {
  if (word === null) return;
  const same = word.text === shown.word?.text && word.at === shown.word.at;
  shown.held = !(shown.held && same);
  shown.word = word;
  shown.words.buttons[word.text][word.at].focus({ preventScroll: true }); // keys go on from here
  show();
}

function letGo() {
  shown.word = null;
  shown.held = false;
  if (document.activeElement.matches(".word")) document.activeElement.blur();
  show();
}

// Left and right go through a text, up and down (from a word) between texts, Escape lets go.
function keyed(event) {
  if (!shown.weights || event.altKey || event.ctrlKey || event.metaKey) return;
  if (event.key === "Escape") return letGo();
  const onWord = document.activeElement.matches(".word");
  if (document.activeElement.matches("input, select, summary, [role=region]")) return;
  const word = shown.word ?? { text: shown.weights.queries, at: -1 };
  const next = after(word, event.key, onWord);
  if (!next) return;
  event.preventDefault();
  shown.held = true;
  shown.word = next;
  shown.words.buttons[next.text][next.at].focus({ preventScroll: false });
  show();
}

function after({ text, at }, key, onWord) {
  const { names, buttons } = shown.words;
  const last = (name) => buttons[name].length - 1;
  const within = (name, k) => ({ text: name, at: Math.max(0, Math.min(last(name), k)) });
  if (key === "ArrowRight") return within(text, at + 1);
  if (key === "ArrowLeft") return within(text, at - 1);
  if (!onWord) return null;
  if (key === "Home") return within(text, 0);
  if (key === "End") return within(text, Infinity);
  const other = names.find((name) => name !== text);
  if (other && (key === "ArrowUp" || key === "ArrowDown")) return within(other, at);
  return null;
}

function show() {
  const { line, weights, words, view, word, held } = shown;
  shadeWords(words, weights, word);
  view.choose(word);
  find("numbers").classList.toggle("held", held);
  find("numbers").replaceChildren(...drawNumbers(line, weights, word, held));
}

start();
