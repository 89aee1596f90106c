// What every chart shares: the span of time that is shown, the moment under the pointer, what is switched off.
"use strict";

const decode = (text, Kind) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Kind(bytes.buffer);
};

// First index whose value is not below `wanted`; `values` never falls.
const lowerBound = (values, wanted) => {
  let low = 0, high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1; else high = middle;
  }
  return low;
};

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
};

// Round steps of an axis: 1, 2 or 5 times a power of ten.
const niceStep = (span, count) => {
  const raw = span / Math.max(1, count), power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
};

// Seconds as a person reads them, fine enough to tell times a `step` apart.
const clock = (seconds, step = 1e-3) => {
  const digits = clamp(Math.ceil(-Math.log10(step) - 1e-9), 0, 6);
  const shown = Number(seconds.toFixed(digits));
  if (shown < 60 || digits > 3) return `${shown.toFixed(digits)} s`;
  const minutes = Math.floor(shown / 60 + 1e-9), rest = Math.max(0, shown - 60 * minutes);
  return `${minutes}:${rest.toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}`;
};

class View {
  constructor(duration) {
    this.duration = Math.max(duration, 1e-3);
    this.from = 0;
    this.to = this.duration;
    this.cursor = null;
    this.degrees = true;
    this.listeners = [];
    this.waiting = false;
  }

  listen(callback) { this.listeners.push(callback); }

  // Redraw once before the next picture, however many changes there were.
  changed() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.listeners.forEach((callback) => callback()); });
  }

  show(from, to) {
    const span = clamp(to - from, Math.min(1e-3, this.duration), this.duration);
    this.from = clamp(from, 0, this.duration - span);
    this.to = this.from + span;
    this.changed();
  }

  all() { this.show(0, this.duration); }

  pan(share) { const step = share * (this.to - this.from); this.show(this.from + step, this.to + step); }

  zoom(factor, around = 0.5 * (this.from + this.to)) {
    const span = clamp((this.to - this.from) * factor, 1e-3, this.duration);
    const along = (around - this.from) / (this.to - this.from);
    this.show(around - along * span, around + (1 - along) * span);
  }

  point(time) { if (time !== this.cursor) { this.cursor = time; this.changed(); } }
}

// Zoom, pan and pointing on a canvas whose time axis lies between two margins (pixels).
const listenToPointer = (canvas, view, margins, onSelect) => {
  const pointers = new Map();
  let begun = null, pinch = null;
  const timeAt = (x) => {
    const width = canvas.clientWidth - margins.left - margins.right;
    return view.from + clamp((x - margins.left) / width, 0, 1) * (view.to - view.from);
  };
  const place = (event) => event.clientX - canvas.getBoundingClientRect().left;
  const secondsOf = (pixels) => pixels / (canvas.clientWidth - margins.left - margins.right) * (view.to - view.from);

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, place(event));
    begun = { x: place(event), time: timeAt(place(event)), pan: event.shiftKey || event.pointerType === "touch" };
    if (pointers.size === 2) pinch = [...pointers.values()];
  });
  canvas.addEventListener("pointermove", (event) => {
    const x = place(event);
    if (!pointers.has(event.pointerId)) return view.point(timeAt(x));
    const before = pointers.get(event.pointerId);
    pointers.set(event.pointerId, x);
    if (pointers.size === 2 && pinch) {
      const [a, b] = pinch, [c, d] = [...pointers.values()];
      view.zoom(Math.abs(a - b) / Math.max(8, Math.abs(c - d)), timeAt(0.5 * (c + d)));
      pinch = [c, d];
    } else if (begun && begun.pan) {
      view.show(view.from - secondsOf(x - before), view.to - secondsOf(x - before));
    } else if (begun) {
      onSelect([begun.time, timeAt(x)]);
      view.point(timeAt(x));
    }
  });
  const end = (event) => {
    const x = place(event);
    const moved = begun && Math.abs(x - begun.x) > 4;
    if (event.type === "pointerup" && begun && !begun.pan && moved) {
      const other = timeAt(x);
      view.show(Math.min(begun.time, other), Math.max(begun.time, other));
    } else if (event.type === "pointerup" && begun && !moved && pointers.size === 1) {
      view.point(timeAt(x));
    }
    pointers.delete(event.pointerId);
    if (!pointers.size) begun = null;
    pinch = null;
    onSelect(null);
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  canvas.addEventListener("pointerleave", (event) => { if (!begun && event.pointerType === "mouse") view.point(null); });
  canvas.addEventListener("dblclick", () => view.all());
  canvas.addEventListener("wheel", (event) => {
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (event.ctrlKey || event.metaKey) view.zoom(Math.exp(clamp(event.deltaY, -60, 60) * 0.008), timeAt(place(event)));
    else if (sideways) view.pan(event.deltaX / canvas.clientWidth);
    else return;
    event.preventDefault();
  }, { passive: false });
};
