/* Mouse, touch and keyboard on the map. */

function listenToMap(canvas, act) {
  const down = new Map();
  let moved = 0;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 0) return;
    if (!down.size) moved = 0;
    down.set(event.pointerId, at(event));
    if (down.size > 1) moved = Infinity; // two fingers never set a pin
    canvas.setPointerCapture(event.pointerId);
  });

  canvas.addEventListener("pointermove", (event) => {
    const before = down.get(event.pointerId);
    if (!before) return;
    const now = at(event), [dx, dy] = [now[0] - before[0], now[1] - before[1]];
    const other = [...down].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const apart = (p) => Math.max(10, Math.hypot(p[0] - other[0], p[1] - other[1]));
      const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
      act.pan(dx / 2, dy / 2);
      act.zoom(apart(now) / apart(before), middle);
    } else {
      moved = Math.max(moved, Math.hypot(dx, dy));
      if (moved < 7) return; // a shaking hand is no drag
      act.pan(dx, dy);
    }
    down.set(event.pointerId, now);
  });

  const lift = (event) => {
    const mine = down.delete(event.pointerId);
    if (mine && event.type === "pointerup" && moved < 7 && !down.size) act.tap(at(event));
  };
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);

  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    act.zoom(2 ** (-Math.max(-400, Math.min(400, event.deltaY * lines)) / 300), at(event));
  }, { passive: false });

  const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pixels = event.shiftKey ? 3 : 22;
    if (arrows[event.key]) act.step(...arrows[event.key].map((part) => part * pixels));
    else if (event.key === "+" || event.key === "=") act.zoomAtPin(1.5);
    else if (event.key === "-" || event.key === "_") act.zoomAtPin(1 / 1.5);
    else if (event.key === "Home") act.whole();
    else if (event.key === "Enter" || event.key === " ") act.enter();
    else return;
    event.preventDefault();
  });
}
