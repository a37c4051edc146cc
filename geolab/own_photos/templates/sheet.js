"use strict";
// Decisions live in `state`, one for each photo that is asked; the page's controls only show them.
const album = JSON.parse(document.getElementById("album").textContent);
const plain = (text) => text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase().trim();
const cities = document.getElementById("cities").textContent.trim().split("\n").map((line) => {
  const [name, region, country, lat, lon] = line.split("|");
  const place = [...new Set([name, region, country].filter(Boolean))].join(", ");
  return { place, key: plain(place), name: plain(name), lat: Number(lat), lon: Number(lon) };
});
const asked = album.photos.filter((photo) => photo.asked);
const state = new Map(asked.map((photo) => [photo.number, { decision: "open" }]));
const card = (number) => document.getElementById(`photo${number}`);
const complain = (text) => { document.getElementById("complaint").textContent = text; };
let unsaved = false;

const count = () => {
  const done = [...state.values()].filter((one) => one.decision !== "open").length;
  document.getElementById("progress").textContent =
    `${done} of ${asked.length} decided${unsaved ? ", not saved yet" : ""}`;
};

const decide = (number, decision) => {
  state.set(number, decision);
  card(number).classList.toggle("decided", decision.decision !== "open");
  unsaved = true;
  count();
};

// Half of the last digit given, in kilometres: 45.8, 4.8 is known to some five.
const precision = (texts) => {
  const digits = Math.min(...texts.map((text) => (text.split(".")[1] || "").length));
  return Math.max(0.01, Number(((111.2 / 2) * 10 ** -digits).toPrecision(3)));
};

const readPair = (text) => {
  const found = text.match(/^\s*([+-]?\d+(?:\.\d+)?)\s*[,;\s]\s*([+-]?\d+(?:\.\d+)?)\s*$/);
  if (!found) return null;
  const [lat, lon] = [Number(found[1]), Number(found[2])];
  const valid = Math.abs(lat) <= 90 && Math.abs(lon) <= 180;
  return { lat, lon, valid, radius_km: precision([found[1], found[2]]) };
};

const findCities = (text) => {
  const key = plain(text);
  if (key.length < 2) return [];
  const begins = cities.filter((city) => city.name.startsWith(key) || city.key.startsWith(key));
  const exact = begins.filter((city) => city.name === key);
  return [...new Set([...exact, ...begins])].slice(0, 6);
};

// What a text in the field means: a place, a name to look up later, or nothing yet.
const meaning = (text) => {
  const pair = readPair(text);
  if (pair && !pair.valid) return { said: "Not on Earth: latitude comes first, at most 90.", decision: { decision: "open" } };
  if (pair) {
    const { lat, lon, radius_km } = pair;
    return { said: `Taken as ${lat}, ${lon}, known to ${radius_km} km.`, decision: { decision: "corrected", place: text.trim(), lat, lon, radius_km } };
  }
  if (!text.trim()) return { said: "", decision: { decision: "open" } };
  const exact = cities.find((city) => city.key === plain(text));
  if (exact) {
    return { said: `Taken as ${exact.place}.`, decision: { decision: "corrected", place: exact.place, lat: exact.lat, lon: exact.lon, radius_km: album.cityKm } };
  }
  return { said: "Choose a city above, or leave the name: smaller places are looked up when the copies are written.", decision: { decision: "corrected", place: text.trim() } };
};

const suggest = (number, field) => {
  const list = card(number).querySelector(".found");
  const exact = cities.some((city) => city.key === plain(field.value));
  const found = exact || readPair(field.value) ? [] : findCities(field.value);
  list.replaceChildren(...found.map((city) => {
    const item = document.createElement("li"), button = document.createElement("button");
    button.type = "button";
    button.textContent = city.place;
    button.addEventListener("click", () => { field.value = city.place; typed(number, field); field.focus(); });
    item.append(button);
    return item;
  }));
};

const typed = (number, field) => {
  const read = meaning(field.value);
  card(number).querySelector('input[value="other"]').checked = true;
  card(number).querySelector(".said").textContent = read.said;
  decide(number, read.decision);
  suggest(number, field);
};

const chosen = (photo, value) => {
  const field = card(photo.number).querySelector(".place");
  if (value === "other") { typed(photo.number, field); field.focus(); return; }
  card(photo.number).querySelector(".found").replaceChildren();
  card(photo.number).querySelector(".said").textContent = "";
  if (value === "open") { decide(photo.number, { decision: "open" }); return; }
  const { place, lat, lon } = photo.choices[Number(value)];
  decide(photo.number, { decision: "confirmed", place, lat, lon, radius_km: album.cityKm });
};

const show = (photo, decision) => {
  const here = card(photo.number), field = here.querySelector(".place");
  const at = photo.choices.findIndex((one) => one.place === decision.place && one.lat === decision.lat && one.lon === decision.lon);
  const value = decision.decision === "confirmed" && at >= 0 ? String(at) : decision.decision === "open" ? "open" : "other";
  here.querySelector(`input[value="${value}"]`).checked = true;
  field.value = value === "other" ? decision.place || `${decision.lat}, ${decision.lon}` : "";
  here.querySelector(".said").textContent = value === "other" ? meaning(field.value).said : "";
  decide(photo.number, decision);
};

const save = () => {
  const photos = asked.map((photo) => ({ file: photo.file, sha256: photo.sha256, ...state.get(photo.number) }));
  const text = JSON.stringify({ geolab: album.kind, version: album.version, photos }, null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "decisions.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  unsaved = false;
  count();
};

const load = async (file) => {
  complain("");
  let held;
  try { held = JSON.parse(await file.text()); } catch { held = {}; }
  if (held.geolab !== album.kind || held.version !== album.version || !Array.isArray(held.photos)) {
    complain(`${file.name} holds no decisions of an album; nothing was changed.`);
    return;
  }
  const known = new Map(held.photos.map((one) => [one.sha256, one]));
  for (const photo of asked) {
    const { file: _file, sha256: _sha256, ...decision } = known.get(photo.sha256) || {};
    if (["confirmed", "corrected", "open"].includes(decision.decision)) show(photo, decision);
  }
  unsaved = false;
  count();
};

for (const photo of asked) {
  const here = card(photo.number), field = here.querySelector(".place");
  here.querySelectorAll('input[type="radio"]').forEach((one) => one.addEventListener("change", () => chosen(photo, one.value)));
  field.addEventListener("input", () => typed(photo.number, field));
}
document.getElementById("save").addEventListener("click", save);
document.getElementById("load").addEventListener("change", (event) => {
  const [file] = event.target.files;
  event.target.value = "";
  if (file) load(file);
});
addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
count();
