// One chart on a canvas. Values are drawn as they were recorded: lines join samples, nothing is smoothed.
"use strict";

const colours = {};
const readColours = () => {
  const style = getComputedStyle(document.documentElement);
  const names = ["surface", "ink", "muted", "line", "band", "blue", "orange", "green", "red", "violet"];
  for (let place = 0; place < 10; place++) names.push(`c${place}`);
  for (const name of names) colours[name] = style.getPropertyValue(`--${name}`).trim();
};

const FONT = "11px ui-sans-serif,system-ui,-apple-system,'Segoe UI',Roboto,Arial,sans-serif";
const MARGINS = { left: 52, right: 12, top: 8, bottom: 20 };

class Plot {
  constructor(chart, view, events, off, timeUnit) {
    Object.assign(this, { chart, view, events, off });
    this.series = chart.series.map((series) => {
      const counts = decode(series.t, Uint32Array), time = new Float64Array(counts.length);
      for (let place = 0; place < counts.length; place++) time[place] = counts[place] * timeUnit;
      return { ...series, time, value: decode(series.v, Float32Array), read: null };
    });
    this.canvas = make("canvas", { role: "img", "aria-label": `${chart.title} over time`, tabindex: "-1" });
    this.canvas.style.height = `${chart.height}px`;
    this.legend = make("div", { class: "legend" });
    this.unit = make("span", { class: "unit" });
    this.figure = make("figure", { class: "card chart plot" },
      make("figcaption", {}, make("h3", {}, make("span", { text: chart.title }), this.unit), this.legend), this.canvas);
    this.figure.dataset.name = chart.name;
    if (chart.note) this.figure.append(make("p", { text: chart.note }));
    this.select = null;
    this.seen = false;
    listenToPointer(this.canvas, view, MARGINS, (span) => { this.select = span; view.changed(); });
    this.fillLegend();
  }

  get factor() { return this.view.degrees && this.chart.unit.startsWith("rad") ? 180 / Math.PI : 1; }

  get unitName() { return this.factor === 1 ? this.chart.unit : this.chart.unit.replace("rad", "deg"); }

  fillLegend() {
    for (const series of this.series) {
      series.read = make("b", { text: "" });
      const swatch = make("i", { class: `key ${series.look}` });
      swatch.style.color = `var(--${series.colour})`;
      series.button = make("button", {
        type: "button",
        "aria-pressed": "true",
        title: `${series.samples.toLocaleString("en")} samples; click to switch`,
        onclick: () => {
          const key = `${this.chart.group}/${series.name}`;
          if (this.off.has(key)) this.off.delete(key); else this.off.add(key);
          this.view.changed();
        },
      }, swatch, make("span", { text: series.name }), series.read);
      this.legend.append(series.button);
    }
    for (const shade of this.chart.shades) {
      const swatch = make("i", { class: "swatch" });
      swatch.style.background = `var(--${shade.colour})`;
      shade.label = make("span", { class: "reason", title: shade.note }, swatch, make("span", { text: shade.name }));
      this.legend.append(shade.label);
    }
  }

  hidden(series) { return this.off.has(`${this.chart.group}/${series.name}`); }

  range() {
    const { from, to } = this.view;
    let low = Infinity, high = -Infinity;
    for (const series of this.series) {
      if (this.hidden(series)) continue;
      const begin = Math.max(0, lowerBound(series.time, from) - 1);
      const end = Math.min(series.time.length, lowerBound(series.time, to) + 1);
      for (let place = begin; place < end; place++) {
        const value = series.value[place];
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    if (low > high) [low, high] = this.chart.log ? [1, 10] : [0, 1];
    if (this.chart.log) return [Math.log10(Math.max(low, 1e-6)) - 0.08, Math.log10(Math.max(high, 1e-6)) + 0.12];
    const missing = this.chart.least - (high - low);
    if (missing > 0) { low -= missing / 2; high += missing / 2; }
    const room = 0.09 * (high - low || 1);
    return [low - room, high + room];
  }

  draw() {
    if (!this.seen || !this.canvas.clientWidth) return;
    const ratio = window.devicePixelRatio || 1, width = this.canvas.clientWidth, height = this.chart.height;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = FONT;
    const box = { left: MARGINS.left, right: width - MARGINS.right, top: MARGINS.top, bottom: height - MARGINS.bottom };
    const [low, high] = this.range(), { from, to } = this.view;
    const x = (time) => box.left + (time - from) / (to - from) * (box.right - box.left);
    const scaled = (value) => this.chart.log ? Math.log10(Math.max(value, 1e-6)) : value;
    const y = (value) => box.bottom - (scaled(value) - low) / (high - low) * (box.bottom - box.top);
    this.axes(pen, box, x, y, low, high);
    pen.save();
    pen.beginPath();
    pen.rect(box.left, box.top, box.right - box.left, box.bottom - box.top);
    pen.clip();
    this.shades(pen, box, x);
    this.marks(pen, box, y);
    this.eventLines(pen, box, x);
    for (const series of this.series) if (!this.hidden(series)) this.curve(pen, series, x, y, box);
    this.markLabels(pen, box, y);
    if (this.select) {
      const [a, b] = this.select.map(x);
      pen.fillStyle = colours.blue;
      pen.globalAlpha = 0.14;
      pen.fillRect(Math.min(a, b), box.top, Math.abs(a - b), box.bottom - box.top);
      pen.globalAlpha = 1;
    }
    this.crosshair(pen, box, x, y);
    pen.restore();
    this.readout();
  }

  axes(pen, box, x, y, low, high) {
    const { from, to } = this.view;
    pen.lineWidth = 1;
    pen.strokeStyle = colours.line;
    pen.fillStyle = colours.muted;
    const line = (x1, y1, x2, y2) => { pen.beginPath(); pen.moveTo(x1, y1); pen.lineTo(x2, y2); pen.stroke(); };
    const step = niceStep(to - from, (box.right - box.left) / 54);
    pen.textAlign = "center";
    pen.textBaseline = "alphabetic";
    for (let count = Math.ceil(from / step - 1e-9); count * step <= to + 1e-9 * step; count++) {
      const at = Math.round(x(count * step)) + 0.5;
      line(at, box.top, at, box.bottom);
      if (at > box.left + 14 && at < box.right - 10) pen.fillText(clock(count * step, step), at, box.bottom + 14);
    }
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const [value, text] of this.ticks(box, low, high)) {
      const at = Math.round(y(value)) + 0.5;
      line(box.left, at, box.right, at);
      if (at > box.top + 2 && at < box.bottom + 2) pen.fillText(text, box.left - 6, at);
    }
  }

  ticks(box, low, high) {
    if (this.chart.log) {
      const all = [];
      for (let power = Math.ceil(low); power <= high; power++) all.push([10 ** power, String(+(10 ** power).toPrecision(3))]);
      return all;
    }
    const factor = this.factor, step = niceStep((high - low) * factor, (box.bottom - box.top) / 20);
    const digits = clamp(Math.ceil(-Math.log10(step) - 1e-9), 0, 6), all = [];
    for (let count = Math.ceil(low * factor / step - 1e-9); count * step <= high * factor; count++) {
      all.push([count * step / factor, (count * step).toFixed(digits).replace(/^-(0(\.0*)?)$/, "$1")]);
    }
    return all;
  }

  shades(pen, box, x) {
    const { from, to } = this.view;
    this.chart.shades.forEach((shade, row) => {
      const strip = box.top + 5 * row;
      pen.fillStyle = colours[shade.colour];
      for (const [begin, end] of shade.spans) {
        if (end < from || begin > to) continue;
        const left = Math.max(x(begin), box.left - 1), width = Math.max(Math.min(x(end), box.right + 1) - left, 1);
        pen.globalAlpha = 0.11;
        pen.fillRect(left, box.top, width, box.bottom - box.top);
        pen.globalAlpha = 0.95;
        pen.fillRect(left, strip, width, 4);
      }
    });
    pen.globalAlpha = 1;
  }

  marks(pen, box, y) {
    for (const mark of this.chart.marks) {
      const at = y(mark.value);
      if (at < box.top - 1 || at > box.bottom + 1) {
        if ((mark.beyond > 0 && at > box.bottom) || (mark.beyond < 0 && at < box.top)) this.forbid(pen, box, box.top, box.bottom, mark);
        continue;
      }
      if (mark.beyond) this.forbid(pen, box, mark.beyond > 0 ? box.top : at, mark.beyond > 0 ? at : box.bottom, mark);
      pen.strokeStyle = colours[mark.colour];
      pen.setLineDash([5, 4]);
      pen.beginPath(); pen.moveTo(box.left, at); pen.lineTo(box.right, at); pen.stroke();
      pen.setLineDash([]);
    }
  }

  // After the curves, on a halo, or they would cross the words.
  markLabels(pen, box, y) {
    pen.textAlign = "left";
    pen.lineWidth = 3;
    pen.strokeStyle = colours.surface;
    for (const mark of this.chart.marks) {
      const at = y(mark.value), above = at - box.top > 16;
      if (at < box.top - 1 || at > box.bottom + 1) continue;
      pen.fillStyle = colours[mark.colour];
      pen.textBaseline = above ? "bottom" : "top";
      pen.strokeText(mark.label, box.left + 5, at + (above ? -2 : 3));
      pen.fillText(mark.label, box.left + 5, at + (above ? -2 : 3));
    }
  }

  forbid(pen, box, top, bottom, mark) {
    pen.fillStyle = colours[mark.colour];
    pen.globalAlpha = 0.1;
    pen.fillRect(box.left, top, box.right - box.left, bottom - top);
    pen.globalAlpha = 1;
  }

  eventLines(pen, box, x) {
    const shown = this.events.filter((event) => event.time >= this.view.from && event.time <= this.view.to);
    const few = shown.length < 60;
    for (const event of shown) {
      if (!few && event.level !== "bad") continue;
      pen.strokeStyle = colours[event.level === "bad" ? "red" : "muted"];
      pen.globalAlpha = event.level === "bad" ? 0.9 : 0.35;
      pen.setLineDash(event.level === "bad" ? [] : [2, 3]);
      const at = Math.round(x(event.time)) + 0.5;
      pen.beginPath(); pen.moveTo(at, box.top); pen.lineTo(at, box.bottom); pen.stroke();
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;
  }

  curve(pen, series, x, y, box) {
    const { time, value } = series, { from, to } = this.view;
    const begin = Math.max(0, lowerBound(time, from) - 1), end = Math.min(time.length, lowerBound(time, to) + 1);
    pen.strokeStyle = pen.fillStyle = colours[series.colour];
    pen.lineWidth = series.look === "step" ? 1.1 : 1.5;
    pen.lineJoin = "round";
    if (series.look === "dashed") pen.setLineDash([5, 3]);
    const few = (box.right - box.left) / Math.max(1, end - begin) > 9;  // zoomed in: show the samples themselves
    pen.beginPath();
    let open = false, height = 0, last = 0;
    for (let place = begin; place < end; place++) {
      if (Number.isNaN(value[place])) { open = false; continue; }
      const px = x(time[place]), py = y(value[place]);
      if (series.look === "dots") { pen.rect(px - 1, py - 1, 2, 2); continue; }
      if (!open) pen.moveTo(px, py);
      else {
        // A value stands until the next one; where samples were left out, nobody knows when it changed.
        if (series.look === "step" && time[place] - last <= series.hold) pen.lineTo(px, height);
        pen.lineTo(px, py);
      }
      open = true;
      height = py;
      last = time[place];
      if (few || (end - begin < 4)) { pen.moveTo(px + 2, py); pen.arc(px, py, 2, 0, 7); pen.moveTo(px, py); }
    }
    if (series.look === "dots") pen.fill(); else pen.stroke();
    pen.setLineDash([]);
  }

  // The sample that stands for a moment: the last one for a step, else the nearest; -1 where there is none.
  at(series, moment) {
    const { time, value, look } = series, after = lowerBound(time, moment);
    const reach = 0.01 * (this.view.to - this.view.from);
    if (!time.length || moment < time[0] - reach || moment > time[time.length - 1] + reach) return -1;
    let place = after;
    if (look === "step") place = time[after] === moment ? after : after - 1;
    else if (after === time.length || (after > 0 && moment - time[after - 1] < time[after] - moment)) place = after - 1;
    return place < 0 || Number.isNaN(value[place]) ? -1 : place;
  }

  crosshair(pen, box, x, y) {
    const { cursor, from, to } = this.view;
    if (cursor === null || cursor < from || cursor > to) return;
    pen.strokeStyle = colours.ink;
    pen.globalAlpha = 0.45;
    pen.lineWidth = 1;
    const at = Math.round(x(cursor)) + 0.5;
    pen.beginPath(); pen.moveTo(at, box.top); pen.lineTo(at, box.bottom); pen.stroke();
    pen.globalAlpha = 1;
    for (const series of this.series) {
      const place = this.hidden(series) ? -1 : this.at(series, cursor);
      if (place < 0) continue;
      const px = series.look === "step" ? at : x(series.time[place]);
      pen.beginPath(); pen.arc(px, y(series.value[place]), 3, 0, 7);
      pen.fillStyle = colours[series.colour]; pen.fill();
      pen.strokeStyle = colours.surface; pen.stroke();
    }
  }

  readout() {
    const { cursor } = this.view, factor = this.factor;
    this.unit.textContent = this.unitName;
    for (const series of this.series) {
      const off = this.hidden(series), place = off || cursor === null ? -1 : this.at(series, cursor);
      series.button.setAttribute("aria-pressed", String(!off));
      const digits = factor === 1 ? this.chart.digits : Math.max(1, this.chart.digits - 2);
      series.read.textContent = place < 0 ? "" : (series.value[place] * factor).toFixed(digits).replace("-", "−");
    }
    for (const shade of this.chart.shades) {
      const on = cursor !== null && shade.spans.some(([begin, end]) => begin <= cursor && cursor <= end);
      shade.label.classList.toggle("on", on);
    }
  }
}
