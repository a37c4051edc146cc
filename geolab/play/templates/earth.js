"use strict";
/* Distances, scores and the projection. Degrees in, kilometres out; everything in float64. */

const EARTH_KM = 6371.0;
const SCORE_SCALE_KM = 1492.7;
const RAD = Math.PI / 180;

/** Great-circle distance of two [lat, lon] by the haversine. */
function kilometres(a, b) {
  const south = a[0] * RAD, north = b[0] * RAD;
  const half = (b[1] - a[1]) * RAD / 2, both = Math.cos(south) * Math.cos(north);
  const near = Math.sin((north - south) / 2) ** 2 + both * Math.sin(half) ** 2;
  // One minus the haversine, as the haversine of the antipode: no digits are lost far away.
  const far = Math.sin((north + south) / 2) ** 2 + both * Math.cos(half) ** 2;
  return 2 * EARTH_KM * Math.atan2(Math.sqrt(near), Math.sqrt(far));
}

/** Points of a GeoGuessr round, not rounded. */
function scoreOf(km) {
  return 5000 * Math.exp(-km / SCORE_SCALE_KM);
}

/** Miller's cylindrical projection: radians east, and down from the equator (2.303 at the poles). */
function project([lat, lon]) {
  return [lon * RAD, -1.25 * Math.log(Math.tan(Math.PI / 4 + 0.4 * lat * RAD))];
}

function unproject([x, y]) {
  const lat = 2.5 * (Math.atan(Math.exp(-0.8 * y)) - Math.PI / 4) / RAD;
  const lon = x / RAD;
  return [Math.max(-90, Math.min(90, lat)), lon - 360 * Math.floor((lon + 180) / 360)];
}

/** Points [lat, lon] of the great circle from a to b, ends included. */
function greatCircle(a, b, n = 64) {
  const unit = ([lat, lon]) => {
    const c = Math.cos(lat * RAD);
    return [c * Math.cos(lon * RAD), c * Math.sin(lon * RAD), Math.sin(lat * RAD)];
  };
  const [u, v] = [unit(a), unit(b)], angle = kilometres(a, b) / EARTH_KM;
  if (angle < 1e-9 || angle > Math.PI - 1e-6) return [a, b];
  return Array.from({ length: n + 1 }, (_, i) => {
    const [p, q] = [Math.sin((1 - i / n) * angle), Math.sin((i / n) * angle)];
    const w = u.map((value, k) => (p * value + q * v[k]) / Math.sin(angle));
    return [Math.atan2(w[2], Math.hypot(w[0], w[1])) / RAD, Math.atan2(w[1], w[0]) / RAD];
  });
}

/** What the page keeps from a passing glance: bytes under a key, as text. No secret. */
function unveil(text, key) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  for (let i = 0; i < bytes.length; i++) bytes[i] ^= key.charCodeAt(i % key.length) ^ ((i * 37) & 255);
  return JSON.parse(new TextDecoder().decode(bytes));
}

function sayPlace([lat, lon]) {
  const [a, o] = [Math.abs(lat).toFixed(1), Math.abs(lon).toFixed(1)];
  return `${a}° ${lat < 0 ? "S" : "N"}, ${o}° ${lon < 0 ? "W" : "E"}`;
}

const sayKm = (km) => `${km < 10 ? km.toFixed(1) : Math.round(km).toLocaleString("en")} km`;
const sayPoints = (score) => Math.round(score).toLocaleString("en");
