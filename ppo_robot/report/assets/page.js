// Puts the charts into their sections and joins them: the time line at the top, switches, events, a tick's stages.
"use strict";

// The whole recording in one strip: the envelope's states, what happened, and the span that the charts show.
class TimeLine {
  constructor(data, view, canvas) {
    Object.assign(this, { data, view, canvas });
    this.grip = null;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      const x = this.place(event), left = this.x(view.from), right = this.x(view.to), reach = event.pointerType === "touch" ? 18 : 7;
      if (Math.abs(x - left) < reach) this.grip = "from";
      else if (Math.abs(x - right) < reach) this.grip = "to";
      else if (x > left && x < right && right - left < this.width - 4) this.grip = "all";
      else { this.grip = "new"; this.anchor = this.time(x); }
      this.last = x;
    });
    canvas.addEventListener("pointermove", (event) => {
      const x = this.place(event), time = this.time(x);
      if (this.grip === "from") view.show(Math.min(time, view.to - 1e-3), view.to);
      else if (this.grip === "to") view.show(view.from, Math.max(time, view.from + 1e-3));
      else if (this.grip === "all") view.show(view.from + time - this.time(this.last), view.to + time - this.time(this.last));
      else if (this.grip === "new" && Math.abs(x - this.x(this.anchor)) > 4) view.show(Math.min(time, this.anchor), Math.max(time, this.anchor));
      this.last = x;
      view.point(time);
      this.hint(time);
    });
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { this.grip = null; });
    canvas.addEventListener("pointerleave", () => { if (!this.grip) view.point(null); });
    canvas.addEventListener("dblclick", () => view.all());
  }

  get width() { return this.canvas.clientWidth; }

  place(event) { return event.clientX - this.canvas.getBoundingClientRect().left; }

  x(time) { return time / this.view.duration * this.width; }

  time(x) { return clamp(x / this.width, 0, 1) * this.view.duration; }

  hint(time) {
    const near = this.data.events.find((event) => Math.abs(this.x(event.time) - this.x(time)) < 4);
    const span = this.data.states.spans.find(([begin, end]) => begin <= time && time < end);
    const state = span ? `envelope ${this.data.states.names[span[2]]}` : "";
    this.canvas.title = near ? `${clock(near.time, 0.01)}: ${near.text}` : state;
  }

  draw() {
    const ratio = window.devicePixelRatio || 1, width = this.width, height = 40, { view, data } = this;
    if (!width) return;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = height * ratio;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = colours.band;
    pen.fillRect(0, 4, width, 20);
    for (const [begin, end, state] of data.states.spans) {
      pen.fillStyle = colours[data.states.colours[state]];
      const least = data.states.bad.includes(state) ? 1.5 : 0;  // a stop is never too short to be seen
      pen.fillRect(this.x(begin), 4, Math.max(least, this.x(end) - this.x(begin)), 20);
    }
    for (const event of data.events) {
      const bad = event.level === "bad";
      pen.fillStyle = colours[bad ? "red" : "ink"];
      pen.globalAlpha = bad ? 1 : 0.55;
      pen.fillRect(this.x(event.time) - (bad ? 1 : 0.5), bad ? 0 : 16, bad ? 2.5 : 1, bad ? 26 : 10);
    }
    pen.globalAlpha = 1;
    const left = this.x(view.from), right = this.x(view.to);
    pen.fillStyle = colours.surface;
    pen.globalAlpha = 0.72;
    pen.fillRect(0, 0, left, 27);
    pen.fillRect(right, 0, width - right, 27);
    pen.globalAlpha = 1;
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 1.5;
    pen.strokeRect(clamp(left, 1, width - 3), 1.5, Math.max(2, Math.min(right, width - 1) - Math.max(left, 1)), 25);
    pen.fillStyle = colours.ink;
    for (const at of [left, right]) pen.fillRect(clamp(at - 2, 0, width - 4), 8, 4, 12);
    if (view.cursor !== null) pen.fillRect(this.x(view.cursor), 0, 1, 27);
    pen.fillStyle = colours.muted;
    pen.font = FONT;
    const step = niceStep(view.duration, width / 64);
    for (let count = 0; count * step <= view.duration * 1.0001; count++) {
      const at = this.x(count * step), text = clock(count * step, step);
      pen.textAlign = at < 20 ? "left" : at > width - 24 ? "right" : "center";
      pen.fillText(text, at, 38);
    }
  }
}

// One tick as a waterfall: every stage a bar that begins where the one before ended.
class Waterfall {
  constructor(data, view, host) {
    Object.assign(this, { data, view, host });
    const counts = decode(data.t, Uint32Array);
    this.time = Float64Array.from(counts, (count) => count * data.unit);
    this.stages = decode(data.stages, Float32Array);
    this.sequence = decode(data.sequence, Float32Array);
    this.title = make("p", { class: "lead small" });
    this.rows = data.names.map((name) => {
      const bar = make("i"), range = make("u"), label = make("b"), text = make("code", { text: name });
      host.append(make("div", { class: "stage" }, text, make("div", { class: "track" }, range, bar), label));
      return { bar, range, label };
    });
    host.before(this.title);
  }

  draw() {
    const { cursor } = this.view, width = this.data.names.length;
    const reach = 0.02 * (this.view.to - this.view.from), { time } = this;
    const pointed = cursor !== null && cursor > time[0] - reach && cursor < time[time.length - 1] + reach;
    let place = this.data.slowest;
    if (pointed) {
      const after = lowerBound(time, cursor);
      place = after > 0 && (after === time.length || cursor - time[after - 1] < time[after] - cursor) ? after - 1 : after;
    }
    if (place === this.shown && pointed === this.pointed) return;
    Object.assign(this, { shown: place, pointed });
    const stages = [...this.stages.subarray(place * width, (place + 1) * width)];
    const known = stages.map((value) => Number.isNaN(value) ? 0 : value), total = known.reduce((sum, value) => sum + value, 0);
    const scale = Math.max(total, this.data.scale, 1e-9);
    const which = pointed ? "The tick under the pointer" : "The slowest tick";
    this.title.textContent = `${which}: number ${this.sequence[place]} at ${clock(this.time[place])}, ${(total * 1e3).toFixed(2)} ms in all`
      + (stages.some(Number.isNaN) ? "; its way could not be followed to the end" : "");
    let begin = 0;
    this.rows.forEach((row, stage) => {
      row.bar.style.left = `${clamp(begin / scale, 0, 1) * 100}%`;
      row.bar.style.width = `max(2px, ${clamp(known[stage] / scale, 0, 1) * 100}%)`;
      row.range.style.left = row.bar.style.left;
      row.range.style.width = `${clamp(this.data.p99[stage] / scale, 0, 1) * 100}%`;
      row.bar.style.background = `var(--c${stage})`;
      row.label.textContent = Number.isNaN(stages[stage]) ? "–" : `${(stages[stage] * 1e3).toFixed(3)} ms`;
      begin += known[stage];
    });
  }
}

const addSwitches = (group, host, plots) => {
  const row = make("div", { class: "chips" });
  for (const plot of plots) {
    const button = make("button", { type: "button", "aria-pressed": "true", text: plot.chart.title });
    button.addEventListener("click", () => {
      plot.figure.hidden = !plot.figure.hidden;
      button.setAttribute("aria-pressed", String(!plot.figure.hidden));
      plot.view.changed();
    });
    row.append(button);
  }
  const set = (hidden) => () => {
    plots.forEach((plot, place) => {
      plot.figure.hidden = hidden;
      row.children[place].setAttribute("aria-pressed", String(!hidden));
    });
    plots[0].view.changed();
  };
  row.append(make("button", { type: "button", class: "plain", text: "all", onclick: set(false) }),
    make("button", { type: "button", class: "plain", text: "none", onclick: set(true) }));
  host.before(row);
};

const addToolbar = (data, view) => {
  const bar = document.getElementById("timeline"), words = make("output", { class: "shown" });
  const button = (text, title, action) => make("button", { type: "button", title, "aria-label": title, text, onclick: action });
  const unit = button("deg", "angles in degrees or radians", () => {
    view.degrees = !view.degrees;
    unit.textContent = view.degrees ? "deg" : "rad";
    view.changed();
  });
  bar.prepend(make("div", { class: "tools" }, words,
    button("◀", "earlier (left arrow)", () => view.pan(-0.25)), button("▶", "later (right arrow)", () => view.pan(0.25)),
    button("−", "show more time (-)", () => view.zoom(2)), button("+", "show less time (+)", () => view.zoom(0.5)),
    button("all", "the whole recording (0, or a double click)", () => view.all()), unit));
  view.listen(() => {
    const span = view.to - view.from, step = span / 100;
    const at = view.cursor === null ? "" : ` · at ${clock(view.cursor, span / 1000)}`;
    words.textContent = `${clock(view.from, step)} to ${clock(view.to, step)}${at}`;
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || /input|select|textarea/i.test(event.target.tagName)) return;
    const action = { ArrowLeft: () => view.pan(-0.2), ArrowRight: () => view.pan(0.2), "+": () => view.zoom(0.5),
      "=": () => view.zoom(0.5), "-": () => view.zoom(2), 0: () => view.all() }[event.key];
    if (action) { action(); event.preventDefault(); }
  });
};

const main = () => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const view = new View(data.duration), off = new Set(), plots = [], parts = [];
  readColours();
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      const plot = plots.find((one) => one.figure === entry.target);
      plot.seen = entry.isIntersecting;
      if (plot.seen) plot.draw();
    }
  }, { rootMargin: "300px" });
  for (const host of document.querySelectorAll("[data-group]")) {
    const own = [];
    for (const chart of data.charts.filter((one) => one.group === host.dataset.group)) {
      for (const series of chart.series) if (series.hidden) off.add(`${chart.group}/${series.name}`);
      const plot = new Plot(chart, view, data.events, off, data.unit);
      host.append(plot.figure);
      own.push(plot);
    }
    plots.push(...own);
    own.forEach((plot) => watcher.observe(plot.figure));
    if (host.dataset.switches !== undefined && own.length > 1) addSwitches(host.dataset.group, host, own);
  }
  for (const tab of document.querySelectorAll("[data-tab]")) {
    tab.addEventListener("click", () => {
      const shown = tab.dataset.tab;
      for (const other of document.querySelectorAll("[data-tab]")) {
        other.setAttribute("aria-pressed", String(other === tab));
        document.getElementById(`tab-${other.dataset.tab}`).hidden = other.dataset.tab !== shown;
      }
      view.changed();
    });
  }
  addToolbar(data, view);
  const line = new TimeLine(data, view, document.querySelector("#timeline canvas"));
  if (data.ticks) parts.push(new Waterfall({ ...data.ticks, unit: data.unit }, view, document.getElementById("waterfall")));
  for (const row of document.querySelectorAll("[data-at]")) {
    row.addEventListener("click", () => {
      const time = Number(row.dataset.at), half = Math.min(1, data.duration / 4);
      view.show(time - half, time + half);
      view.point(time);
    });
  }
  const redraw = () => { line.draw(); plots.forEach((plot) => plot.draw()); parts.forEach((part) => part.draw()); };
  view.listen(redraw);
  new ResizeObserver(() => view.changed()).observe(document.body);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); view.changed(); });
  window.addEventListener("beforeprint", () => { plots.forEach((plot) => { plot.seen = true; }); redraw(); });
  window.report = { view, plots };
  view.changed();
};

main();
