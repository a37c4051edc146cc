// A phone held upright gets upright slides; nothing is shrunk below what can be read.
const upright = window.innerWidth < 700;
const tall = Math.round((430 * window.innerHeight) / window.innerWidth);
const size = upright ? { width: 430, height: Math.min(tall, 940) } : { width: 1280, height: 720 };
const LEAST = upright ? 0.62 : 0.55;

// Maps are started when they are first seen: one that starts hidden has no size to draw on.
function wake(slide) {
  for (const frame of slide.querySelectorAll("iframe[data-page]")) {
    frame.srcdoc = frame.dataset.page;
    frame.removeAttribute("data-page");
  }
}

// Make what is on the slide smaller until it fits; what is longer still can be scrolled. Tables
// are scrolled sooner: their letters are small already.
function fit(slide) {
  const box = slide && slide.querySelector(":scope > .fit");
  if (!box) return;
  box.classList.remove("long");
  box.style.zoom = 1;
  box.style.maxHeight = "none";
  const least = slide.querySelector("table") ? Math.max(LEAST, 0.7) : LEAST;
  let zoom = 1;
  while (zoom > least && box.getBoundingClientRect().height > slide.getBoundingClientRect().height + 1) {
    zoom -= 0.03;
    box.style.zoom = zoom;
  }
  box.style.maxHeight = "";
  box.classList.toggle("long", zoom <= least);
  if (zoom <= least) box.style.height = size.height / zoom + "px";
}

function shown(event) {
  wake(event.currentSlide);
  fit(event.currentSlide);
  for (const image of event.currentSlide.querySelectorAll("img")) {
    if (!image.complete) image.addEventListener("load", () => fit(event.currentSlide), { once: true });
  }
}

Reveal.on("ready", shown);
Reveal.on("slidechanged", shown);
Reveal.on("resize", () => fit(Reveal.getCurrentSlide()));
Reveal.initialize({
  ...size, margin: 0.04, center: false, hash: true, transition: "none", slideNumber: "c/t",
  controlsLayout: "bottom-right", scrollActivationWidth: null, help: true,
});
