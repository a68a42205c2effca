// Elements with attributes and children; text is never taken for markup.
const make = (name, attributes, ...children) =>
  fill(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

function fill(element, attributes = {}, children) {
  for (const [name, value] of Object.entries(attributes))
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function tableOf(header, rows) {
  const head = make("tr", {}, ...header.map((name) => make("th", { scope: "col" }, name)));
  const body = rows.map(([name, ...cells]) =>
    make("tr", {},
      make("th", { scope: "row" }, name), ...cells.map((cell) => make("td", {}, cell))));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}

const find = (id) => document.getElementById(id);
const data = JSON.parse(find("data").textContent);
const number = (weight) => weight.toFixed(2);
const short = (word, most) => (word.length > most ? `${word.slice(0, most - 1)}…` : word);

// What makes an element stand for a word: pointing at it and clicking it choose the word.
const stands = (text, at) => ({ "data-text": text, "data-at": at });
const isWord = ({ dataset }, word) =>
  dataset.text === word?.text && Number(dataset.at) === word.at;

// A shade of the one scale, for CSS; words on a deep one stand out in the colour of paper.
const shadeStyle = (shade) => `--w:${shade.toFixed(3)}`;
const isDeep = (shade) => shade > data.deep;

// The width in pixels that a word takes in the pictures.
const pen = document.createElement("canvas").getContext("2d");
function widthOf(word) {
  pen.font = `14px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(word).width;
}
const widest = (words) => Math.max(...words.map(widthOf));
