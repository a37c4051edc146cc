/* The game: name, rounds, reveal, results. */

(function () {
  const game = JSON.parse(document.getElementById("game").textContent);
  const byId = (id) => document.getElementById(id);
  const truths = game.rounds.map((round) => unveil(round.veil, game.key));
  const scores = makeScores(game, truths), n = truths.length;
  const COLOURS = ["--one", "--two", "--three", "--four"], sign = (k) => String.fromCharCode(65 + k);
  const colourOf = (k) => COLOURS[k % COLOURS.length];
  const now = { player: "", round: 0, began: 0, pin: null, told: false, shown: -1 };
  const map = makeMap(byId("map"), game.ground, { onPin: pinned, onEnter: enter });

  const say = (text) => { byId("live").textContent = text; };
  const stage = (name) => ["start", "play", "end"].forEach((id) => { byId(id).hidden = id !== name; });
  const modelEntries = () => game.systems.map((name, k) => ({ name, rows: scores.model(name), colour: colourOf(k), note: "model" }));

  function showStart() {
    stage("start");
    byId("status").textContent = "";
    const players = scores.players();
    byId("played").hidden = !players.length;
    if (players.length) byId("early").replaceChildren(standing(players.map((name) => ({ name, rows: scores.of(name) })), n));
    byId("complaint").textContent = "";
    byId("name").focus();
  }

  function begin(event) {
    event.preventDefault();
    const name = byId("name").value.normalize("NFC").replace(/\s+/g, " ").trim();
    const done = scores.of(name).length;
    // A spreadsheet takes what begins with = or + for a formula.
    if (!/^[\p{L}\p{N}]/u.test(name)) return complain("Please give a name that starts with a letter or a digit.");
    if (game.systems.includes(name)) return complain("That is the name of a model. Please take another.");
    if (done >= n) return complain(`${name} has played all rounds. Please take another name.`);
    now.player = name;
    ask(done + 1);
  }

  function complain(text) {
    byId("complaint").textContent = text;
    byId("name").focus();
  }

  function status() {
    byId("status").textContent = `${now.player} · round ${now.round} of ${n} · ${sayPoints(total(scores.of(now.player)))} points`;
  }

  function ask(round) {
    Object.assign(now, { round, pin: null, told: false, shown: -1 });
    stage("play");
    byId("play").classList.remove("told");
    [byId("guessing").hidden, byId("reveal").hidden, byId("legend").hidden] = [false, true, true];
    for (const id of ["photo", "photo2"]) {
      byId(id).src = `data:image/jpeg;base64,${game.rounds[round - 1].picture}`;
      byId(id).alt = `Photo of round ${round}`;
    }
    byId("where").textContent = "Set your pin on the map.";
    byId("guess").disabled = true;
    status();
    map.set({ pin: null, pins: [], lines: [], heat: null, locked: false });
    map.whole(false);
    byId("map").focus({ preventScroll: true });
    say(`Round ${round} of ${n}. Where was this photo taken?`);
    now.began = performance.now();
  }

  function pinned(place) {
    now.pin = place;
    byId("guess").disabled = false;
    let near = null, least = Infinity;
    for (const city of game.ground.cities) {
      const km = kilometres(place, [city[1], city[2]]);
      if (km < least) [near, least] = [city[0], km];
    }
    byId("where").textContent = `${sayPlace(place)}, ${sayKm(least)} from ${near}`;
    say(byId("where").textContent);
  }

  function enter() {
    if (now.told) byId("next").click();
    else if (now.pin) guess();
    else say("Set a pin first, with the arrow keys.");
  }

  function guess() {
    if (now.told || !now.pin) return;
    now.told = true;
    const seconds = Math.round((performance.now() - now.began) / 100) / 10;
    const place = now.pin.map((value) => Math.round(value * 1e5) / 1e5);
    reveal(scores.add(now.player, now.round, place, seconds));
  }

  function reveal(mine) {
    const truth = truths[now.round - 1];
    const guesses = game.systems.map((name, k) => ({
      name, place: truth.answers[k].latlon, row: scores.model(name)[now.round - 1], colour: colourOf(k), sign: sign(k), k,
    }));
    const you = { name: now.player, place: [mine.lat, mine.lon], row: mine, colour: "--you", sign: "", k: -1 };
    byId("play").classList.add("told");
    [byId("guessing").hidden, byId("reveal").hidden] = [true, false];
    byId("km").textContent = sayKm(mine.km);
    byId("points").textContent = `${sayPoints(mine.score)} points`;
    byId("truth").textContent = `It was near ${truth.place} (★).`;
    byId("answers").replaceChildren(headRow(["Guess", "Distance", "Points"]), make("tbody", {},
      ...[you, ...guesses].sort((a, b) => a.row.km - b.row.km).map(answerRow)));
    byId("next").textContent = now.round < n ? "Next photo" : "Results";
    status();
    map.set({
      pin: null, locked: true,
      lines: [...guesses, you].map(({ place, colour }) => ({ from: place, to: truth.latlon, colour })),
      pins: [...guesses, you, { place: truth.latlon, colour: "--truth", sign: "★" }],
    });
    map.fit([truth.latlon, you.place, ...guesses.map(({ place }) => place)]);
    say(`${sayKm(mine.km)} away, ${sayPoints(mine.score)} points. It was near ${truth.place}. ` +
      guesses.map(({ name, row }) => `${name}: ${sayKm(row.km)}, ${sayPoints(row.score)} points.`).join(" "));
    byId("next").focus();
    showHeat(0);
  }

  function answerRow({ name, row, colour, sign: letter, k }) {
    const who = make("td", {}, swatch(colour, letter));
    if (k < 0) who.append(name);
    else {
      const pick = make("button", { type: "button", class: "pick", "data-k": k, text: name, "aria-pressed": "false" });
      pick.addEventListener("click", () => showHeat(now.shown === k ? -1 : k));
      who.append(pick);
    }
    return make("tr", k < 0 ? { class: "you" } : {}, who, make("td", { text: sayKm(row.km) }), make("td", { text: sayPoints(row.score) }));
  }

  async function showHeat(k) {
    now.shown = k;
    const round = now.round;
    for (const pick of document.querySelectorAll(".pick")) pick.setAttribute("aria-pressed", String(+pick.dataset.k === k));
    byId("legend").hidden = k < 0;
    if (k < 0) return map.set({ heat: null });
    byId("whose").textContent = `Where ${game.systems[k]} looks`;
    const picture = await heatPicture(truths[round - 1].answers[k].heat, map.colour("--heat").split(",").map(Number));
    if (now.shown === k && now.round === round && now.told) map.set({ heat: picture });
  }

  function showEnd(player) {
    stage("end");
    byId("status").textContent = "";
    const people = scores.players().map((name) => ({ name, rows: scores.of(name), colour: "--you" }));
    const mine = people.find(({ name }) => name === player), models = modelEntries();
    const shown = mine ? [mine, ...models] : models;
    const ahead = mine ? models.filter(({ rows }) => total(rows) >= total(mine.rows)) : [];
    byId("verdict").textContent = !mine ? "Results so far" : !ahead.length
      ? `${player} beats ${models.length > 1 ? "every model" : models[0].name}`
      : ahead.length === models.length ? `${models.length > 1 ? "The models are" : `${models[0].name} is`} ahead this time`
        : `${player} comes out ahead of ${models.filter((m) => !ahead.includes(m)).map((m) => m.name).join(", ")}`;
    byId("bars").replaceChildren(...barsOf(shown.map((e) => ({ ...e, points: total(e.rows) })).sort((a, b) => b.points - a.points), 5000 * n));
    fillRounds(byId("rounds"), shown, n);
    byId("everyone").replaceChildren(make("h3", { text: "Everyone on this machine" }), standing([...people, ...models], n));
    byId("verdict").tabIndex = -1;
    byId("verdict").focus();
    say(byId("verdict").textContent);
  }

  function download() {
    const url = URL.createObjectURL(new Blob([scores.csv()], { type: "text/csv" }));
    const link = make("a", { href: url, download: `geolab_play_${game.id}.csv` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  }

  byId("title").textContent = game.title;
  byId("synthetic").hidden = !game.synthetic;
  byId("what").textContent = `${n} photo${n > 1 ? "s" : ""}, one guess each, against ${game.systems.join(" and ")}. ` +
    "A round gives up to 5,000 points, fewer with distance.";
  byId("about").replaceChildren(...game.about.map((text) => make("p", { text })));
  byId("enter").addEventListener("submit", begin);
  byId("guess").addEventListener("click", guess);
  byId("next").addEventListener("click", () => (now.round < n ? ask(now.round + 1) : showEnd(now.player)));
  byId("closer").addEventListener("click", () => map.zoom(1.6));
  byId("farther").addEventListener("click", () => map.zoom(1 / 1.6));
  byId("whole").addEventListener("click", () => map.whole());
  byId("enlarge").addEventListener("click", () => byId("large").showModal());
  byId("shut").addEventListener("click", () => byId("large").close());
  byId("show").addEventListener("click", () => showEnd(""));
  byId("download").addEventListener("click", download);
  byId("again").addEventListener("click", () => { byId("name").value = ""; showStart(); });
  byId("forget").addEventListener("click", () => {
    if (confirm("Delete all results of this page from this browser?")) { scores.forget(); showStart(); }
  });
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => now.told && showHeat(now.shown));
  window.geolabPlay = { kilometres, scoreOf, where: map.where, pin: () => now.pin };
  showStart();
})();
