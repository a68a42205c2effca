// The weights of one map: a byte, of its root, for every place where a word may look, row by row.
class Weights {
  constructor(map, texts) {
    const { queries, keys, direction, top } = map;
    Object.assign(this, { queries, keys, direction, top }); // the shades end at top
    this.rows = texts[map.queries].length;
    this.columns = texts[map.keys].length;
    this.bytes = Uint8Array.from(atob(map.bytes), (letter) => letter.charCodeAt(0));
  }

  get within() {
    return this.direction !== "across";
  }

  // The columns where row t may look: from the first to before the second number.
  span(t) {
    if (this.direction === "forward") return [0, t];
    if (this.direction === "backward") return [t + 1, this.columns];
    return [0, this.columns];
  }

  start(t) {
    if (this.direction === "forward") return (t * (t - 1)) / 2;
    if (this.direction === "backward") return t * (this.columns - 1) - (t * (t - 1)) / 2;
    return t * this.columns;
  }

  at(t, s) {
    const [first, end] = this.span(t);
    return s < first || s >= end ? 0 : (this.bytes[this.start(t) + s - first] / 255) ** 2;
  }

  // All { from, to, weight } of row t.
  row(t) {
    const [first, end] = this.span(t);
    return Array.from({ length: end - first }, (_, k) => this.link(t, first + k));
  }

  // All of column s.
  column(s) {
    const rows = Array.from({ length: this.rows }, (_, t) => t);
    const looks = ([first, end]) => s >= first && s < end;
    return rows.filter((t) => looks(this.span(t))).map((t) => this.link(t, s));
  }

  link(t, s) {
    return { from: t, to: s, weight: this.at(t, s) };
  }

  links() {
    return Array.from({ length: this.rows }, (_, t) => this.row(t)).flat();
  }

  // How a weight is shaded: a style from paper, 0, to the strongest, 1.
  shade(weight) {
    return Math.min(1, weight / this.top);
  }
}

const LEAST = 0.005; // a weight that its two digits would still show
const strongest = (links) => [...links].sort((a, b) => b.weight - a.weight);

// The words at one end, "from" or "to", of the strongest links, with their weights.
function listed(links, words, end, most) {
  return strongest(links).slice(0, most).filter(({ weight }) => weight >= LEAST)
    .map((link) => `${words[link[end]]}\u00a0${number(link.weight)}`).join(" · ");
}
