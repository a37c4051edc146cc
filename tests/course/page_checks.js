// What a browser is asked about a page; `browser.py` runs one of these at a time.
const parse = (text) => {
  const n = (text.match(/[\d.]+(e-?\d+)?/g) || []).map(Number);
  const scale = text.startsWith("color(") ? 255 : 1;
  return [n[0] * scale, n[1] * scale, n[2] * scale, n[3] ?? 1];
};
const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
const luminance = (colour) => {
  const [r, g, b] = colour.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ancestors = (element) => (element ? [element, ...ancestors(element.parentElement)] : []);
const style = (element) => getComputedStyle(element);
const ground = (element) => {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const layers = ancestors(element).map((e) => parse(style(e).backgroundColor));
  return layers.reverse().reduce((under, top) => over(top, under), dark ? [18, 18, 18] : [255, 255, 255]);
};

const checks = {
  // Text that is fainter than WCAG's AA asks for: 4.5 to 1, large letters 3 to 1.
  contrast() {
    const found = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const node = walker.currentNode, element = node.parentElement, range = document.createRange();
      range.selectNodeContents(node);
      const box = range.getBoundingClientRect();
      const opacity = ancestors(element).reduce((all, e) => all * style(e).opacity, 1);
      const shown = node.textContent.trim() && box.width && box.height && opacity;
      if (!shown || style(element).visibility !== "visible") continue;
      if (element.closest("script, style, svg, .leaflet-container")) continue;
      const under = ground(element), [r, g, b, alpha] = parse(style(element).color);
      const [one, other] = [luminance(over([r, g, b, alpha * opacity], under)), luminance(under)];
      const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
      if (ratio < (parseFloat(style(element).fontSize) >= 24 ? 3 : 4.5)) {
        found.push(`${ratio.toFixed(2)} ${style(element).color}: ${node.textContent.trim().slice(0, 30)}`);
      }
    }
    return found;
  },

  // What is wider than the window where nothing scrolls.
  tooWide() {
    const found = [], root = document.documentElement;
    if (root.scrollWidth > root.clientWidth + 1) found.push(`page: ${root.scrollWidth} > ${root.clientWidth}`);
    const scrolls = (e) => ["auto", "scroll", "hidden"].includes(style(e).overflowX);
    for (const e of document.querySelectorAll("table, pre, img, math, iframe, p, li, h1, h2, h3")) {
      const box = e.getBoundingClientRect();
      if (!box.width || box.right <= innerWidth + 1) continue;
      const holder = ancestors(e).find((a) => a !== document.body && a !== root && scrolls(a));
      if (!holder || holder.getBoundingClientRect().right > innerWidth + 1) {
        found.push(`${e.tagName} ${e.className}: right edge at ${Math.round(box.right)}`);
      }
    }
    return found;
  },

  formulas() {
    const seen = [...document.querySelectorAll("math")].filter((e) => e.checkVisibility());
    return seen.map((e) => e.getBoundingClientRect()).map((box) => [box.width, box.height]);
  },

  map() {
    const map = document.querySelector(".leaflet-container");
    const box = map ? map.getBoundingClientRect() : { width: 0, height: 0 };
    const paths = [...document.querySelectorAll(".leaflet-overlay-pane path")];
    const drawn = paths.map((e) => e.getBoundingClientRect()).filter((r) => r.width > 2 && r.height > 2);
    return { width: box.width, height: box.height, drawn: drawn.length };
  },

  slide() {
    const slide = Reveal.getCurrentSlide(), box = slide.querySelector(":scope > .fit");
    const zoom = (box.style.zoom || 1) * Reveal.getScale();
    const words = [...box.querySelectorAll("p:not(.topic), li")].filter((e) => e.checkVisibility());
    return {
      text: slide.innerText.trim().slice(0, 60),
      empty: !slide.innerText.trim() && !box.querySelector("img, iframe, math"),
      pictures: [...box.querySelectorAll("img")].every((e) => e.complete && e.naturalWidth > 0),
      filled: box.getBoundingClientRect().height / slide.getBoundingClientRect().height,
      table: Boolean(box.querySelector("table")),
      long: box.classList.contains("long"),
      smallest: Math.min(99, ...words.map((e) => parseFloat(style(e).fontSize) * zoom)),
    };
  },
};
