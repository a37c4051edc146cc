/* Results: kept in this browser, added up, shown as bars and tables, written as csv. */

const COLUMNS = ["game", "player", "kind", "round", "photo", "lat", "lon", "km", "score",
  "true_lat", "true_lon", "seconds", "synthetic"];

function makeScores(game, truths) {
  const key = `geolab-play-${game.id}`;
  let kept = true, rows = [];
  try {
    const held = JSON.parse(localStorage.getItem(key) || "[]");
    if (Array.isArray(held)) rows = held.filter((row) => row && row.round >= 1 && row.round <= truths.length);
  } catch { kept = false; } // some browsers lend a page without a server no storage

  const save = () => {
    try { localStorage.setItem(key, JSON.stringify(rows)); } catch { kept = false; }
  };

  function rowOf(player, kind, round, place, seconds) {
    const truth = truths[round - 1], km = kilometres(place, truth.latlon);
    return { player, kind, round, lat: place[0], lon: place[1], km, score: scoreOf(km), seconds };
  }

  function modelRows() {
    return truths.flatMap((truth, i) => game.systems.map((name, k) =>
      rowOf(name, "model", i + 1, truth.answers[k].latlon, "")));
  }

  const line = (values) => values.map((value) => {
    const text = String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  }).join(",");

  return {
    add(player, round, place, seconds) {
      const row = rowOf(player, "human", round, place, seconds);
      rows.push(row);
      save();
      return row;
    },
    forget() { rows = []; save(); },
    of: (player) => rows.filter((row) => row.player === player),
    model: (name) => modelRows().filter((row) => row.player === name),
    players: () => [...new Set(rows.map((row) => row.player))],
    kept: () => kept,
    csv() {
      const lines = [...rows, ...modelRows()].map((row) => {
        const truth = truths[row.round - 1];
        return line([game.id, row.player, row.kind, row.round, truth.photo, row.lat, row.lon,
          row.km.toFixed(3), row.score.toFixed(2), ...truth.latlon, row.seconds, game.synthetic]);
      });
      return [line(COLUMNS), ...lines].join("\r\n") + "\r\n";
    },
  };
}

/** Points as the screen adds them up: whole numbers, as in the game. */
const total = (rows) => rows.reduce((sum, row) => sum + Math.round(row.score), 0);

function middle(values) {
  const sorted = [...values].sort((a, b) => a - b), n = sorted.length;
  return n ? (sorted[(n - 1) >> 1] + sorted[n >> 1]) / 2 : NaN;
}

/** Element with text and children; text is never read as HTML. */
function make(tag, { text, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function headRow(names) {
  return make("thead", {}, make("tr", {}, ...names.map((text) => make("th", { text, scope: "col" }))));
}

function swatch(colour, sign) {
  return make("span", { class: "swatch", style: `--c: var(${colour})`, "aria-hidden": "true", text: sign });
}

function barsOf(entries, most) {
  return entries.map(({ name, points, colour }) => make("div", { class: "bar" },
    make("b", { text: name }),
    make("div", {}, make("i", { style: `--c: var(${colour}); width: ${(100 * points) / most}%` })),
    make("span", { text: sayPoints(points) })));
}

/** Rounds down, players across; the best of each round is marked. */
function fillRounds(table, columns, n) {
  const body = make("tbody");
  for (let round = 1; round <= n; round++) {
    const cells = columns.map(({ rows }) => rows.find((row) => row.round === round));
    const best = Math.max(...cells.map((row) => (row ? row.score : -1)));
    body.append(make("tr", {}, make("th", { text: String(round), scope: "row" }),
      ...cells.map((row) => (row ? make("td", row.score === best ? { class: "best" } : {},
        `${sayPoints(row.score)}${row.score === best ? " ✓" : ""} `, make("small", { text: sayKm(row.km) })) : make("td", { text: "–" })))));
  }
  const foot = make("tfoot", {}, make("tr", {}, make("th", { text: "Sum", scope: "row" }),
    ...columns.map(({ rows }) => make("td", { text: sayPoints(total(rows)) }))));
  table.replaceChildren(make("caption", { class: "unseen", text: "Points and distance by round" }),
    headRow(["Round", ...columns.map(({ name }) => name)]), body, foot);
}

/** Everybody who has played this page, and the models. */
function standing(entries, n) {
  const body = make("tbody");
  for (const { name, rows, note } of [...entries].sort((a, b) => total(b.rows) - total(a.rows))) {
    body.append(make("tr", {}, make("td", { text: name + (note ? ` (${note})` : "") }),
      make("td", { text: `${rows.length} / ${n}` }), make("td", { text: sayPoints(total(rows)) }),
      make("td", { text: sayKm(middle(rows.map((row) => row.km))) })));
  }
  return make("div", { class: "scroll" },
    make("table", {}, headRow(["Player", "Rounds", "Points", "Median"]), body));
}
