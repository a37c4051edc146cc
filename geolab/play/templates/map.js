/* The map: a canvas with land, borders, names, a heat map and pins. It knows nothing of the game. */

const WORLD = 2 * Math.PI, POLE_Y = 2.3034125433763912;

function worldPath(lines, units, closed) {
  const path = new Path2D();
  for (const line of lines) {
    let [x, y] = [0, 0];
    for (let i = 0; i < line.length; i += 2) {
      x += line[i];
      y += line[i + 1];
      const [px, py] = project([Math.max(-89.9, Math.min(89.9, y / units)), x / units]);
      if (i) path.lineTo(px, py);
      else path.moveTo(px, py);
    }
    if (closed) path.closePath();
  }
  return path;
}

/** Grey PNG of the whole Earth, a pixel a degree, as a coloured picture in Miller's projection. */
async function heatPicture(png, rgb) {
  const image = new Image();
  image.src = `data:image/png;base64,${png}`;
  await image.decode();
  const flat = document.createElement("canvas"), tall = document.createElement("canvas");
  [flat.width, flat.height, tall.width, tall.height] = [360, 180, 1080, 792];
  const pen = flat.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  const pixels = pen.getImageData(0, 0, 360, 180);
  for (let i = 0; i < pixels.data.length; i += 4) {
    const level = pixels.data[i] / 248;
    [pixels.data[i], pixels.data[i + 1], pixels.data[i + 2]] = rgb;
    pixels.data[i + 3] = 255 * 0.85 * level;
  }
  pen.putImageData(pixels, 0, 0);
  const out = tall.getContext("2d");
  for (let row = 0; row < 792; row++) {
    const [lat] = unproject([0, ((row + 0.5) / 792 * 2 - 1) * POLE_Y]);
    const from = Math.max(0, Math.min(179, 90 - lat - 0.5));
    out.drawImage(flat, 0, from, 360, 1, 0, row, 1080, 1);
  }
  return tall;
}

function makeMap(canvas, ground, { onPin, onEnter }) {
  const pen = canvas.getContext("2d");
  const land = worldPath(ground.land, ground.units, true);
  const borders = worldPath(ground.borders, ground.units, false);
  const view = { x: 0.2, y: -0.35, scale: 100 };
  const state = { pin: null, pins: [], lines: [], heat: null, locked: false };
  let size = [0, 0], waiting = false, flight = 0;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const narrow = (dx) => dx - WORLD * Math.floor((dx + Math.PI) / WORLD);
  const screen = ([x, y], turn = narrow(x - view.x)) =>
    [size[0] / 2 + turn * view.scale, size[1] / 2 + (y - view.y) * view.scale];
  const placeAt = ([sx, sy]) =>
    unproject([view.x + (sx - size[0] / 2) / view.scale, view.y + (sy - size[1] / 2) / view.scale]);

  function limit() {
    const least = Math.min(size[0] / WORLD, size[1] / (2 * POLE_Y));
    view.scale = Math.max(least, Math.min(12000, view.scale));
    view.x = narrow(view.x);
    const room = Math.max(0.5, POLE_Y - size[1] / 2 / view.scale);
    view.y = Math.max(-room, Math.min(room, view.y));
  }

  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }

  function draw() {
    const dpr = window.devicePixelRatio || 1;
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    if (!w || !h) return;
    if (canvas.width !== Math.round(w * dpr) || canvas.height !== Math.round(h * dpr)) {
      [canvas.width, canvas.height] = [Math.round(w * dpr), Math.round(h * dpr)];
    }
    size = [w, h];
    limit();
    pen.setTransform(dpr, 0, 0, dpr, 0, 0);
    pen.fillStyle = colour("--sea");
    pen.fillRect(0, 0, w, h);
    drawGrid();
    const first = Math.floor((view.x - w / 2 / view.scale + Math.PI) / WORLD) - 1;
    const last = Math.floor((view.x + w / 2 / view.scale + Math.PI) / WORLD);
    for (let turn = first; turn <= last; turn++) {
      const s = view.scale * dpr;
      const left = (w / 2) * dpr + (turn * WORLD - view.x) * s, top = (h / 2) * dpr - view.y * s;
      pen.setTransform(s, 0, 0, s, left, top);
      pen.lineJoin = "round";
      pen.fillStyle = colour("--land");
      pen.fill(land, "evenodd");
      pen.strokeStyle = colour("--border");
      pen.lineWidth = 0.9 / view.scale;
      pen.stroke(borders);
      pen.strokeStyle = colour("--coast");
      pen.stroke(land);
      if (state.heat) pen.drawImage(state.heat, -Math.PI, -POLE_Y, WORLD, 2 * POLE_Y);
    }
    pen.setTransform(dpr, 0, 0, dpr, 0, 0);
    const marks = [...state.pins, ...(state.pin ? [{ place: state.pin, colour: "--you", sign: "" }] : [])];
    const taken = marks.map(({ place }) => {
      const [x, y] = screen(project(place));
      return [x - 14, y - 36, x + 14, y + 6];
    });
    drawNames(taken);
    state.lines.forEach(drawLine);
    marks.forEach(drawPin);
  }

  /** Every thirty degrees, so that empty sea tells where one is. */
  function drawGrid() {
    pen.strokeStyle = colour("--grid");
    pen.lineWidth = 1;
    pen.beginPath();
    for (let lat = -60; lat <= 60; lat += 30) {
      const y = screen(project([lat, 0]))[1];
      pen.moveTo(0, y);
      pen.lineTo(size[0], y);
    }
    const step = WORLD / 12, left = view.x - size[0] / 2 / view.scale;
    for (let x = Math.ceil(left / step) * step; (x - left) * view.scale < size[0]; x += step) {
      pen.moveTo((x - left) * view.scale, 0);
      pen.lineTo((x - left) * view.scale, size[1]);
    }
    pen.stroke();
  }

  function drawNames(taken) {
    const room = Math.round(size[0] * size[1] / 9000);
    const free = (box) => taken.every((b) => box[2] < b[0] || box[0] > b[2] || box[3] < b[1] || box[1] > b[3]);
    const put = (list, font, least, dotted) => {
      pen.font = font;
      pen.textAlign = dotted ? "left" : "center";
      pen.textBaseline = "middle";
      let n = 0;
      for (const [name, lat, lon, people] of list) {
        if (people < least || n >= room) break;
        const [x, y] = screen(project([lat, lon]));
        if (x < 0 || y < 8 || x > size[0] || y > size[1] - 8) continue;
        const wide = pen.measureText(name).width, from = dotted ? x + 6 : x - wide / 2;
        if (wide > 150 && view.scale < 300) continue;
        const box = [dotted ? x - 4 : from - 3, y - 9, from + wide + 3, y + 9];
        if (box[0] < 0 || box[2] > size[0] || !free(box)) continue;
        taken.push(box);
        n++;
        pen.lineWidth = 3;
        pen.strokeStyle = colour("--halo");
        pen.fillStyle = colour("--label");
        pen.strokeText(name, dotted ? from : x, y);
        pen.fillText(name, dotted ? from : x, y);
        if (dotted) { pen.beginPath(); pen.arc(x, y, 2.2, 0, 7); pen.fill(); }
      }
    };
    put(ground.countries, "600 13px system-ui, sans-serif", 1e11 / view.scale ** 2, false);
    if (view.scale > 200) put(ground.cities, "12px system-ui, sans-serif", 1.2e12 / view.scale ** 2, true);
  }

  function drawLine({ from, to, colour: name }) {
    const points = greatCircle(from, to).map(project);
    let turn = narrow(points[0][0] - view.x), before = points[0][0];
    const trace = new Path2D();
    points.forEach((point, i) => {
      turn += i ? narrow(point[0] - before) : 0;
      before = point[0];
      trace[i ? "lineTo" : "moveTo"](...screen(point, turn));
    });
    pen.setLineDash([7, 5]);
    for (const [shade, wide] of [["--halo", 4.5], [name, 2.2]]) {
      pen.strokeStyle = colour(shade);
      pen.lineWidth = wide;
      pen.stroke(trace);
    }
    pen.setLineDash([]);
  }

  function drawPin({ place, colour: name, sign }) {
    const [x, y] = screen(project(place));
    const shape = new Path2D();
    shape.arc(x, y - 22, 12, 0.82 * Math.PI, 2.18 * Math.PI);
    shape.lineTo(x, y);
    shape.closePath();
    pen.lineJoin = "round";
    pen.lineWidth = 4;
    pen.strokeStyle = colour("--paper");
    pen.stroke(shape);
    pen.fillStyle = colour(name);
    pen.fill(shape);
    pen.fillStyle = colour("--paper");
    if (!sign) { pen.beginPath(); pen.arc(x, y - 22, 4.5, 0, 7); pen.fill(); return; }
    pen.font = "700 15px system-ui, sans-serif";
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.fillText(sign, x, y - 21);
  }

  function go(target, smoothly) {
    const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches || !smoothly;
    const start = { ...view }, from = performance.now(), mine = ++flight;
    const across = narrow(target.x - start.x);
    const step = (now) => {
      if (mine !== flight) return;
      const t = still ? 1 : Math.min(1, (now - from) / 700), ease = t * t * (3 - 2 * t);
      view.x = start.x + across * ease;
      view.y = start.y + (target.y - start.y) * ease;
      view.scale = start.scale * (target.scale / start.scale) ** ease;
      draw();
      if (t < 1) requestAnimationFrame(step);
    };
    step(performance.now());
  }

  function whole(smoothly = true) {
    size = [canvas.clientWidth, canvas.clientHeight];
    const [top, low] = [project([80, 0])[1], project([-57, 0])[1]];
    go({ x: 0.2, y: (top + low) / 2, scale: Math.min(size[0] / WORLD, size[1] / (low - top)) }, smoothly);
  }

  /** Show places with a margin, however the antimeridian cuts them. */
  function fit(places, smoothly = true) {
    size = [canvas.clientWidth, canvas.clientHeight];
    const points = places.map(project), xs = points.map((p) => p[0]).sort((a, b) => a - b);
    const gaps = xs.map((x, i) => (i + 1 < xs.length ? xs[i + 1] : xs[0] + WORLD) - x);
    const widest = gaps.indexOf(Math.max(...gaps));
    const west = xs[(widest + 1) % xs.length], width = WORLD - gaps[widest];
    const ys = points.map((p) => p[1]), [top, low] = [Math.min(...ys), Math.max(...ys)];
    // Room for the pins above, the buttons at the right and the legend below.
    const across = (size[0] - 120) / Math.max(width, 0.12), down = (size[1] - 150) / Math.max(low - top, 0.09);
    const scale = Math.max(20, Math.min(across, down));
    go({ x: west + width / 2 + 25 / scale, y: (top + low) / 2 + 5 / scale, scale }, smoothly);
  }

  function zoom(factor, at = [size[0] / 2, size[1] / 2]) {
    flight++;
    const [dx, dy] = [(at[0] - size[0] / 2) / view.scale, (at[1] - size[1] / 2) / view.scale];
    const before = view.scale;
    view.scale *= factor;
    limit();
    const kept = 1 - before / view.scale;
    view.x += dx * kept;
    view.y += dy * kept;
    redraw();
  }

  function setPin(place) {
    if (state.locked) return;
    state.pin = place;
    onPin(place);
    redraw();
  }

  listenToMap(canvas, {
    pan(dx, dy) { flight++; view.x -= dx / view.scale; view.y -= dy / view.scale; redraw(); },
    zoom, whole, placeAt,
    tap(at) { canvas.focus({ preventScroll: true }); setPin(placeAt(at)); },
    step(dx, dy) {
      if (state.locked) { view.x += 3 * dx / view.scale; view.y += 3 * dy / view.scale; return redraw(); }
      if (!state.pin) return setPin(placeAt([size[0] / 2, size[1] / 2]));
      let [x, y] = screen(project(state.pin));
      x += dx;
      y = Math.max(size[1] / 2 - (view.y + POLE_Y) * view.scale + 1, Math.min(y + dy, size[1] / 2 + (POLE_Y - view.y) * view.scale - 1));
      const place = placeAt([x, y]);
      view.x += Math.max(0, x - 0.85 * size[0], 0) / view.scale + Math.min(0, x - 0.15 * size[0]) / view.scale;
      view.y += Math.max(0, y - 0.85 * size[1]) / view.scale + Math.min(0, y - 0.2 * size[1]) / view.scale;
      setPin(place);
    },
    zoomAtPin(factor) { zoom(factor, state.pin ? screen(project(state.pin)) : undefined); },
    enter: onEnter,
  });
  new ResizeObserver(redraw).observe(canvas);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

  return {
    whole, fit, zoom, redraw,
    set(changes) { Object.assign(state, changes); redraw(); },
    where(place) { return screen(project(place)); },
    colour,
  };
}
