// The table that stands in for the pictures.
function drawTable(line, weights) {
  const { texts, unknown = {}, surprisals = {} } = line;
  const bits = surprisals[weights.asks];
  const listed = (links, text, end) =>
    strongest(links).slice(0, 5).filter(({ weight }) => weight >= LEAST)
      .map((link) => `${texts[text][link[end]]}\u00a0${number(link.weight)}`).join(" · ");
  const isUnknown = (t) => unknown[weights.asks]?.includes(t);
  const rows = texts[weights.asks].map((word, t) => [
    isUnknown(t) ? `${word} (unknown)` : word,
    ...(bits ? [bits[t] === null ? "" : bits[t].toFixed(1)] : []),
    listed(weights.row(t), weights.reads, "to"),
    ...(weights.within ? [listed(weights.column(t), weights.asks, "from")] : []),
  ]);
  const header = ["token", ...(bits ? ["surprisal, bits"] : []), "attends most",
    ...(weights.within ? ["is attended most by"] : [])];
  return tableOf(header, rows);
}

function tableOf(header, rows) {
  const head = make("tr", {}, ...header.map((name) => make("th", { scope: "col" }, name)));
  const body = rows.map(([name, ...cells]) =>
    make("tr", {},
      make("th", { scope: "row" }, name), ...cells.map((cell) => make("td", {}, cell))));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...body));
}
