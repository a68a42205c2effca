// Rows are the words that attend, columns those attended.
const LEAN = 70; // pixels, by which the last column's name may lean out

function drawMatrix({ weights, texts, limit, width }) {
  const rows = texts[weights.asks], columns = texts[weights.reads];
  const left = 8 + Math.min(160, Math.max(...rows.map(widthOf)));
  const top = 12 + Math.min(140, Math.max(...columns.map(widthOf)) * 0.87);
  const room = Math.floor((width - left - LEAN) / columns.length);
  const cell = Math.max(14, Math.min(30, room));
  const cells = weights.links().filter(({ weight }) => weight > 0 && weight >= limit);
  const squares = cells.map(({ from, to, weight }) =>
    svg("rect", {
      x: left + to * cell, y: top + from * cell, width: cell - 1, height: cell - 1,
      class: "shade", style: `--w:${weights.shade(weight).toFixed(3)}`,
      ...stands(weights.asks, from),
    }));
  const names = [
    ...rows.map((word, t) => {
      const place = { x: left - 6, y: top + (t + 0.5) * cell + 4, "text-anchor": "end" };
      return svg("text", { ...place, ...stands(weights.asks, t) }, short(word, 22));
    }),
    ...columns.map((word, s) => {
      const place = `translate(${left + (s + 0.5) * cell + 4} ${top - 6}) rotate(-60)`;
      return svg("text", { transform: place, ...stands(weights.reads, s) }, short(word, 22));
    }),
  ];
  const across = { width: columns.length * cell, height: rows.length * cell };
  const rowFrame = frame({ x: left, width: across.width, height: cell });
  const columnFrame = frame({ y: top, width: cell, height: across.height });
  const border = svg("rect", { x: left - 0.5, y: top - 0.5, ...across, class: "frame axis" });
  const label = "Matrix of weights; the table below has the numbers";
  const size = { width: left + across.width + LEAN, height: top + across.height + 4 };
  const node = svg("svg", { ...size, role: "img", "aria-label": label },
    border, ...squares, ...names, rowFrame, columnFrame);
  return {
    node,
    choose(word) {
      const asks = word?.text === weights.asks, reads = word?.text === weights.reads;
      rowFrame.style.display = asks ? "" : "none";
      columnFrame.style.display = reads ? "" : "none";
      if (asks) rowFrame.setAttribute("y", top + word.at * cell - 0.5);
      if (reads) columnFrame.setAttribute("x", left + word.at * cell - 0.5);
      for (const name of names) name.classList.toggle("on", isWord(name, word));
    },
  };
}

const frame = (size) => svg("rect", { class: "frame", style: "display: none", ...size });
const short = (word, most) => (word.length > most ? `${word.slice(0, most - 1)}…` : word);
