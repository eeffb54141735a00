// Draws what the page's data describe; see motorpool/_report/page.py for what these are.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const colours = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2",
    "#97bbf5", "#9c6b4e", "#9498a0"];

  function seconds(value) {
    if (value === 0) return "0 s";
    const [scale, unit] = value >= 1 ? [1, "s"] : value >= 1e-3 ? [1e3, "ms"] : [1e6, "µs"];
    const scaled = value * scale;
    return `${scaled >= 1000 ? scaled.toFixed(0) : Number(scaled.toPrecision(3))} ${unit}`;
  }

  function bytes(value) {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let k = 0;
    while (value >= 1000 && k < units.length - 1) { value /= 1024; k += 1; }
    return `${Number(value.toPrecision(3))} ${units[k]}`;
  }

  // One unit for an axis, by its largest value.
  function axis(largest, label) {
    const [scale, unit] = largest >= 1 ? [1, "s"] : largest >= 1e-3 ? [1e3, "ms"] : [1e6, "µs"];
    return { label: `${label} (${unit})`, scale };
  }

  function margin(names) {
    const longest = Math.max(...names.map((name) => name.length), 4);
    return Math.min(20 + 7 * longest, 240);
  }

  function short(name, width) {
    const most = Math.max(6, Math.floor((width - 20) / 7));
    return name.length <= most ? name : `${name.slice(0, most - 1)}…`;
  }

  const drawings = {
    times(rows, width) {
      const unit = axis(Math.max(...rows.map((d) => d.high)), "wall time");
      const cases = [...new Set(rows.map((d) => d.name))];
      const left = Math.min(margin(cases), width / 3);
      const value = (key) => (d) => d[key] * unit.scale;
      return Plot.plot({
        width, height: 50 + 34 * rows.length, marginLeft: left + 50, marginRight: 80,
        marginTop: 30,
        x: { label: unit.label, zero: true, grid: true },
        y: { domain: ["warm", "cold"], label: null },
        fy: { domain: cases, label: null, axis: null },
        color: { domain: ["warm", "cold"], range: ["#4269d0", "#97bbf5"] },
        marks: [
          Plot.barX(rows, { x: value("median"), y: "kind", fy: "name", fill: "kind", inset: 1 }),
          Plot.link(rows, { x1: value("low"), x2: value("high"), y: "kind", fy: "name",
            strokeWidth: 1.5 }),
          Plot.tickX(rows, { x: value("low"), y: "kind", fy: "name", insetTop: 6, insetBottom: 6 }),
          Plot.tickX(rows, { x: value("high"), y: "kind", fy: "name", insetTop: 6,
            insetBottom: 6 }),
          Plot.text(rows, { x: value("high"), y: "kind", fy: "name", textAnchor: "start", dx: 6,
            text: (d) => seconds(d.median) }),
          Plot.axisFy({ anchor: "left", label: null, dx: -50,
            tickFormat: (name) => short(name, left) }),
          Plot.ruleX([0]),
        ],
      });
    },

    scaling(found, width) {
      const { rows, bounds } = found;
      const unit = axis(Math.max(...rows.map((d) => d.high)), "wall time");
      const value = (key) => (d) => d[key] * unit.scale;
      return Plot.plot({
        width, height: 340, marginLeft: 60, marginBottom: 40,
        x: { type: "point", label: "workers", domain: [...new Set(bounds.map((d) => d.workers))] },
        y: { label: unit.label, zero: true, grid: true },
        color: { legend: true, range: colours, domain: [...new Set(rows.map((d) => d.name))] },
        marks: [
          Plot.line(bounds, { x: "workers", y: value("seconds"), strokeDasharray: "5 4",
            stroke: "currentColor" }),
          Plot.text(bounds.slice(-1), { x: "workers", y: value("seconds"), dy: 12,
            text: () => "the least possible" }),
          Plot.ruleX(rows, { x: "workers", y1: value("low"), y2: value("high"), stroke: "name" }),
          Plot.line(rows, { x: "workers", y: value("median"), stroke: "name" }),
          Plot.dot(rows, { x: "workers", y: value("median"), fill: "name", r: 4,
            channels: { "wall time": (d) => seconds(d.median) },
            tip: { format: { x: true, y: false, stroke: true, fill: false } } }),
          Plot.ruleY([0]),
        ],
      });
    },

    slower(rows, width) {
      const unit = axis(Math.max(...rows.map((d) => d.seconds)), "median time of the node");
      const names = [...new Set(rows.map((d) => d.node))];
      const left = Math.min(margin(names), width / 3);
      const value = (d) => d.seconds * unit.scale;
      const least = new Map();
      for (const d of rows) least.set(d.node, Math.min(least.get(d.node) ?? Infinity, d.seconds));
      return Plot.plot({
        width, height: 60 + 24 * names.length, marginLeft: left, marginTop: 30,
        x: { label: unit.label, zero: true, grid: true },
        y: { domain: names, label: null, tickFormat: (name) => short(name, left) },
        color: { legend: true, range: colours, domain: [...new Set(rows.map((d) => d.name))] },
        marks: [
          Plot.ruleY(rows, Plot.groupY({ x1: "min", x2: "max" },
            { x1: value, x2: value, y: "node", stroke: "var(--dim)" })),
          Plot.dot(rows, { x: value, y: "node", fill: "name", r: 5,
            channels: { took: (d) => seconds(d.seconds),
              "times the least": (d) => (d.seconds / least.get(d.node)).toFixed(2) },
            tip: { format: { x: false, y: true, fill: true } } }),
        ],
      });
    },
  };

  // A row for each worker, a bar for each node. The chosen bar is described below the drawing:
  // the one under the pointer, or the one to which the arrow keys have led.
  function timeline(figure, run) {
    const bars = run.bars.map(([node, fn, colour, lane, begin, secs, imports, load, call, save,
      wait, nbytes, critical], index) => ({ node, fn, colour, lane, begin, end: begin + secs,
      seconds: secs, imports, load, call, save, wait, nbytes, critical, index }));
    const drawing = document.createElement("div");
    const output = document.createElement("output");
    output.setAttribute("aria-live", "polite");
    const first = "Point at a node, or use the arrow keys, for its times.";
    output.textContent = first;
    figure.append(drawing, output);
    let chosen = -1;
    let rects = [];

    function describe(bar) {
      const parts = [["import", bar.imports], ["load", bar.load], ["call", bar.call],
        ["save", bar.save]].filter(([, value]) => value >= 5e-5)
        .map(([name, value]) => `${name} ${seconds(value)}`);
      const fn = bar.fn === bar.node ? "" : ` (${bar.fn})`;
      return `${bar.node}${fn}: ${seconds(bar.seconds)}`
        + (parts.length ? `: ${parts.join(", ")}` : "")
        + `; from ${seconds(Math.max(0, bar.begin))} on ${run.lanes[bar.lane]}, waited ${seconds(bar.wait)}`
        + (bar.nbytes ? `; ${bytes(bar.nbytes)} passed on` : "")
        + (bar.critical ? "; on the critical path" : "");
    }

    function choose(index) {
      rects[chosen]?.removeAttribute("data-chosen");
      chosen = index;
      rects[chosen]?.setAttribute("data-chosen", "");
      output.textContent = chosen < 0 ? first : describe(bars[chosen]);
    }

    function step(key) {
      if (chosen < 0) return bars.length ? 0 : -1;
      const bar = bars[chosen];
      const row = bars.filter((other) => other.lane === bar.lane);
      if (key === "Home") return row[0].index;
      if (key === "End") return row.at(-1).index;
      if (key === "ArrowRight" || key === "ArrowLeft") {
        const next = row[row.indexOf(bar) + (key === "ArrowRight" ? 1 : -1)];
        return (next ?? bar).index;
      }
      const lane = bar.lane + (key === "ArrowDown" ? 1 : -1);
      const others = bars.filter((other) => other.lane === lane);
      if (!others.length) return chosen;
      const middle = (bar.begin + bar.end) / 2;
      const away = (other) => Math.max(other.begin - middle, middle - other.end, 0);
      return others.reduce((a, b) => (away(b) < away(a) ? b : a)).index;
    }

    figure.tabIndex = 0;
    figure.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { choose(-1); return; }
      if (!["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"]
        .includes(event.key)) return;
      event.preventDefault();
      choose(step(event.key));
    });

    return (width) => {
      const unit = axis(run.wall, "since the start");
      const left = Math.min(margin(run.lanes), width / 3);
      const place = { x1: (d) => Math.max(0, d.begin) * unit.scale,
        x2: (d) => d.end * unit.scale, y: (d) => run.lanes[d.lane] };
      const svg = Plot.plot({
        width, height: 60 + 34 * run.lanes.length, marginLeft: left, marginRight: 20,
        x: { domain: [0, Math.max(run.wall, ...bars.map((d) => d.end)) * unit.scale],
          label: unit.label },
        y: { domain: run.lanes, label: null, tickFormat: (name) => short(name, left) },
        color: { type: "identity" },
        marks: [
          Plot.barX(bars, { ...place, fill: (d) => colours[d.colour], stroke: "var(--paper)",
            strokeWidth: 0.6 }),
          Plot.barX(bars, { ...place, filter: "critical", fill: "none", stroke: "currentColor",
            strokeWidth: 2, inset: 1, pointerEvents: "none" }),
          Plot.text(bars, { filter: (d) => d.seconds / run.wall * (width - left) > 8 * d.node.length,
            x: (d) => (d.begin + d.end) / 2 * unit.scale, y: (d) => run.lanes[d.lane],
            text: "node", fill: "#16181b", pointerEvents: "none" }),
          Plot.ruleX([run.wall * unit.scale], { stroke: "var(--dim)", strokeDasharray: "2 3" }),
        ],
      });
      drawing.replaceChildren(Plot.legend({ color: { domain: run.functions, range: colours,
        type: "ordinal" } }), svg);
      rects = [];
      for (const rect of svg.querySelector("[aria-label=bar]")?.querySelectorAll("rect") ?? []) {
        const index = rect.__data__;
        rects[index] = rect;
        rect.addEventListener("pointerenter", () => choose(index));
      }
      if (chosen >= 0) rects[chosen]?.setAttribute("data-chosen", "");
    };
  }

  function show(figure) {
    const found = data[figure.dataset.kind][figure.dataset.of ?? ""] ?? data[figure.dataset.kind];
    const draw = figure.dataset.kind === "timelines" ? timeline(figure, found)
      : (width) => figure.firstElementChild.replaceChildren(
        drawings[figure.dataset.kind](found, width));
    if (figure.dataset.kind !== "timelines") figure.prepend(document.createElement("div"));
    let width = 0;
    const redraw = () => {
      const now = Math.max(280, Math.floor(figure.clientWidth));
      if (now !== width) { width = now; draw(width); }
    };
    new ResizeObserver(redraw).observe(figure);
    redraw();
  }

  document.querySelectorAll("figure[data-kind]").forEach(show);
})();
