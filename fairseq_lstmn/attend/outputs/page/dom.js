// Elements with attributes and children; text is never taken for markup.
function make(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes))
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const find = (id) => document.getElementById(id);
const DEEP = 0.65; // a shade from which on text stands out in the colour of paper
const LEAST = 0.005; // a weight that its two digits would still show
const number = (weight) => weight.toFixed(2);

// What makes an element stand for a word: pointing at it and clicking it choose the word.
const stands = (text, at) => ({ "data-text": text, "data-at": at });
const isWord = ({ dataset }, word) =>
  dataset.text === word?.text && Number(dataset.at) === word.at;

// The width in pixels that a word takes in the pictures.
const pen = document.createElement("canvas").getContext("2d");
function widthOf(word) {
  pen.font = `14px ${getComputedStyle(document.body).fontFamily}`;
  return pen.measureText(word).width;
}
