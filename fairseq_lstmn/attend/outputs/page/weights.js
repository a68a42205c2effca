// The weights of one map: a byte, of its root, for every place where a word may look, row by row.
class Weights {
  constructor(map, texts) {
    Object.assign(this, { asks: map.asks, reads: map.reads, direction: map.direction });
    this.rows = texts[map.asks].length;
    this.columns = texts[map.reads].length;
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

  // Where the scale of shades ends: a typical row's strongest link stands at half of it.
  get top() {
    this.ends ??= this.scaleEnd();
    return this.ends;
  }

  scaleEnd() {
    const rows = Array.from({ length: this.rows }, (_, t) => this.row(t));
    const peaks = rows.filter((row) => row.length).map((row) => strongest(row)[0].weight);
    const middle = peaks.sort((a, b) => a - b)[Math.floor(peaks.length / 2)] ?? 1;
    return Math.min(1, Math.max(0.02, Math.round(200 * middle) / 100));
  }

  // How a weight is shaded: a style from paper, 0, to the strongest, 1.
  shade(weight) {
    return Math.min(1, weight / this.top);
  }
}

const strongest = (links) => [...links].sort((a, b) => b.weight - a.weight);
