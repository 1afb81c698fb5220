/* Charts on a canvas (uPlot), read from the table beside each: no figure comes from anywhere else.
   The server's drawing stays in the page: it is what paper, a reader without scripts, and a screen
   with forced colours get. Arrow keys move a cursor over either. Colours are the sheet's. */
"use strict";

const forced = matchMedia("(forced-colors: active)").matches;
const ink = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';
const DOTS_MAX = 60; // past this many points only those beyond the limit get a shape

/* --- What the table says -------------------------------------------------------------------- */

const number = (cell) => {
  const text = cell?.dataset.v;
  return text === undefined || text === "" || Number.isNaN(Number(text)) ? null : Number(text);
};

function read(figure) {
  const heads = [...figure.querySelectorAll("thead th")];
  const roles = heads.map((head) => head.dataset.role ?? "");
  const lines = [...figure.querySelectorAll("tbody tr")].sort((a, b) => a.dataset.i - b.dataset.i);
  const cells = lines.map((line) => [...line.children]);
  const column = (role) => {
    const at = roles.indexOf(role);
    return at < 0 ? null : cells.map((row) => number(row[at]));
  };
  const marked = roles.indexOf("mark");
  return {
    names: cells.map((row) => row[0].textContent.trim()),
    x: column("x"), value: column("value"), low: column("low"), high: column("high"), line: column("line"),
    marks: cells.map((row) => marked >= 0 && row[marked].textContent.trim() !== ""),
    told: cells.map((row) => {
      const rest = row.slice(1).map((cell, i) => {
        const text = cell.textContent.trim();
        if (roles[i + 1] === "mark") return text && (heads[i + 1].dataset.said || text);
        return text && `${heads[i + 1].textContent.trim()} ${text}`;
      });
      return `${row[0].textContent.trim()}: ${rest.filter(Boolean).join(", ")}`;
    }),
  };
}

/* --- The canvas ------------------------------------------------------------------------------- */

const tail = (name) => name.split(" to ").pop();

function square(ctx, x, y, size) { ctx.fillRect(x - size / 2, y - size / 2, size, size); }

/* The limit as a dashed line, its far side tinted, its words where the plot begins. */
function drawLimit(u, limit, side) {
  const { ctx, bbox } = u, px = devicePixelRatio, y = u.valToPos(limit, "y", true);
  ctx.save();
  ctx.beginPath(); ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height); ctx.clip();
  ctx.fillStyle = ink("--red"); ctx.globalAlpha = 0.08;
  if (side === "max") ctx.fillRect(bbox.left, bbox.top, bbox.width, y - bbox.top);
  if (side === "min") ctx.fillRect(bbox.left, y, bbox.width, bbox.top + bbox.height - y);
  ctx.globalAlpha = 1; ctx.strokeStyle = ink("--red"); ctx.lineWidth = 1.5 * px; ctx.setLineDash([6 * px, 4 * px]);
  ctx.beginPath(); ctx.moveTo(bbox.left, y); ctx.lineTo(bbox.left + bbox.width, y); ctx.stroke();
  ctx.restore();
}

function drawMarks(u, data, xs) {
  const { ctx } = u, px = devicePixelRatio;
  ctx.save(); ctx.fillStyle = ink("--red"); ctx.strokeStyle = ink("--panel"); ctx.lineWidth = px;
  data.value.forEach((value, i) => {
    if (value === null || !data.marks[i]) return;
    const x = u.valToPos(xs[i], "x", true), y = u.valToPos(value, "y", true);
    square(ctx, x, y, 8 * px); ctx.strokeRect(x - 4 * px, y - 4 * px, 8 * px, 8 * px);
  });
  ctx.restore();
}

function axes(data, xs, kind) {
  const common = { font: FONT, stroke: () => ink("--faint"), ticks: { show: false }, grid: { stroke: () => ink("--rule"), width: 1 } };
  const named = {
    ...common, grid: { show: false }, size: 28,
    splits: (u) => {
      const [a, b] = [Math.max(0, Math.ceil(u.scales.x.min)), Math.min(xs.length - 1, Math.floor(u.scales.x.max))];
      const most = Math.max(1, Math.floor(u.bbox.width / devicePixelRatio / 130));
      const step = Math.max(1, Math.ceil((b - a) / most));
      const found = [];
      for (let i = a; i <= b; i += step) found.push(i);
      return found;
    },
    values: (u, splits) => splits.map((i) => tail(data.names[i] ?? "")),
  };
  const plain = { ...common, values: (u, splits) => splits.map((v) => v.toLocaleString("en", { maximumSignificantDigits: 4 })) };
  return [kind === "reliability" ? { ...plain, size: 28 } : named, { ...plain, size: 52 }];
}

const SERIES = {
  history: (data, many) => ({
    data: [data.value, data.low ?? [], data.high ?? []],
    series: [
      { stroke: () => ink("--brass"), width: 2, points: { show: !many, size: 7, fill: () => ink("--brass"), stroke: () => ink("--panel"), width: 1.5 } },
      { stroke: "transparent", points: { show: false } },
      { stroke: "transparent", points: { show: false } },
    ],
    bands: [{ series: [3, 2], fill: () => `${ink("--brass")}26` }],
  }),
  days: (data) => ({
    data: [data.value, data.line],
    series: [
      { stroke: () => ink("--steel"), width: 1, paths: uPlot.paths.bars({ size: [0.5, 6] }), fill: () => ink("--steel"), points: { show: false } },
      { stroke: () => ink("--brass"), width: 2, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
    ],
  }),
  reliability: (data) => ({
    data: [data.value],
    series: [{ stroke: () => ink("--brass"), width: 0, paths: () => null, points: { show: true, size: 8, fill: () => ink("--brass"), stroke: () => ink("--panel") } }],
  }),
};

/* Whiskers, and the diagonal on which observed and expected agree. */
function drawReliability(u, data, xs) {
  const { ctx } = u, px = devicePixelRatio, top = Math.min(u.scales.x.max, u.scales.y.max);
  const at = (x, y) => [u.valToPos(x, "x", true), u.valToPos(y, "y", true)];
  ctx.save(); ctx.lineWidth = 1.5 * px; ctx.strokeStyle = ink("--rule-2");
  ctx.beginPath(); ctx.moveTo(...at(0, 0)); ctx.lineTo(...at(top, top)); ctx.stroke();
  ctx.strokeStyle = ink("--brass"); ctx.globalAlpha = 0.55; ctx.lineWidth = 2 * px;
  xs.forEach((x, i) => {
    if (x === null || data.low?.[i] == null || data.high?.[i] == null) return;
    ctx.beginPath(); ctx.moveTo(...at(x, data.low[i])); ctx.lineTo(...at(x, data.high[i])); ctx.stroke();
  });
  ctx.restore();
}

function canvas(figure, pad, data, tell) {
  const kind = figure.dataset.kind, frame = pad.querySelector(".chart");
  const [low, high] = [Number(frame.dataset.low), Number(frame.dataset.high)];
  const keep = kind === "reliability" ? data.x.map((x, i) => i).filter((i) => data.x[i] !== null && data.value[i] !== null) : null;
  const pick = (list) => (keep && list ? keep.map((i) => list[i]) : list);
  if (keep) { keep.sort((a, b) => data.x[a] - data.x[b]); }
  const shown = keep ? { names: pick(data.names), value: pick(data.value), low: pick(data.low), high: pick(data.high), marks: keep.map((i) => data.low?.[i] > data.x[i] || data.high?.[i] < data.x[i]) } : data;
  const xs = keep ? pick(data.x) : data.names.map((_, i) => i);
  const spec = SERIES[kind](shown, xs.length > DOTS_MAX);
  const [limit, side] = [figure.dataset.limit, figure.dataset.side];
  const height = frame.querySelector(".plot").getBoundingClientRect().height;
  const holder = document.createElement("div");
  holder.className = "canvas"; holder.setAttribute("aria-hidden", "true");
  pad.append(holder);
  const edge = keep ? 0 : Math.max(0.5, xs.length * 0.015);
  const u = new uPlot({
    width: pad.clientWidth, height, padding: [10, 34, 0, 0], legend: { show: false },
    cursor: { y: false, drag: { x: !keep, y: false, setScale: !keep }, points: { size: 9 } },
    scales: {
      x: { time: false, range: (_, a, b) => (keep ? [low, high] : [Math.min(a, b) - (a === b ? 1 : edge), Math.max(a, b) + (a === b ? 1 : edge)]) },
      y: { range: () => [low, high] },
    },
    axes: axes(shown, xs, kind), series: [{}, ...spec.series], bands: spec.bands ?? [],
    hooks: {
      drawClear: [(self) => { if (keep) drawReliability(self, shown, xs); if (limit !== undefined && limit !== "" && self.data) drawLimit(self, Number(limit), side); }],
      draw: [(self) => drawMarks(self, shown, xs)],
      setCursor: [(self) => { const i = self.cursor.idx; if (i !== null && i !== undefined && holder.matches(":hover")) tell(keep ? keep[i] : i); }],
    },
  }, [xs, ...spec.data.map((list) => (list.length ? list : xs.map(() => null)))], holder);
  new ResizeObserver(() => { if (pad.clientWidth) u.setSize({ width: pad.clientWidth, height }); }).observe(pad);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => u.redraw(false, true));
  figure.classList.add("on-canvas");
  return (i) => {
    const at = keep ? keep.indexOf(i) : i;
    u.setCursor(i === null ? { left: -10, top: -10 } : { left: u.valToPos(xs[at], "x"), top: 10 });
  };
}

/* --- The cursor --------------------------------------------------------------------------------- */

function equip(figure) {
  const pad = figure.querySelector(".draw"), told = figure.querySelector(".cursor-told");
  const data = read(figure);
  const stops = data.value.map((v, i) => i).filter((i) => data.value[i] !== null);
  if (!stops.length || !told) return;
  let at = -1;
  const tell = (i) => {
    at = stops.indexOf(i);
    told.hidden = at < 0; told.textContent = at < 0 ? "" : data.told[i];
    if (at >= 0) { pad.setAttribute("aria-valuenow", at + 1); pad.setAttribute("aria-valuetext", data.told[i]); }
  };
  const drawn = pad.querySelector(".plot"), line = drawn.querySelector(".cursor");
  const onSvg = (i) => {
    const point = i === null ? null : drawn.querySelector(`.pt[data-i="${i}"]`);
    if (!line) return;
    line.toggleAttribute("hidden", !point);
    if (point) { line.setAttribute("x1", point.dataset.x); line.setAttribute("x2", point.dataset.x); }
  };
  const able = !forced && window.uPlot && SERIES[figure.dataset.kind];
  const move = able ? canvas(figure, pad, data, tell) : onSvg;
  for (const [name, value] of Object.entries({
    tabindex: 0, role: "slider", "aria-label": `Points of ${pad.dataset.name}`, "aria-valuemin": 1,
    "aria-valuemax": stops.length, "aria-valuenow": stops.length, "aria-valuetext": data.told[stops.at(-1)],
  })) pad.setAttribute(name, value);
  const leave = () => { move(null); told.hidden = true; at = -1; };
  pad.addEventListener("keydown", (event) => {
    const last = stops.length - 1, from = at < 0 ? stops.length : at;
    const next = { ArrowLeft: from - 1, ArrowDown: from - 1, ArrowRight: at < 0 ? last : at + 1, ArrowUp: at < 0 ? last : at + 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") leave();
    if (next === undefined) return;
    event.preventDefault();
    const i = stops[Math.max(0, Math.min(last, next))];
    move(i); tell(i);
  });
  pad.addEventListener("blur", leave);
  pad.addEventListener("pointerleave", () => { if (document.activeElement !== pad) leave(); });
  if (able) return;
  pad.addEventListener("pointermove", (event) => {
    const box = drawn.getBoundingClientRect(), share = ((event.clientX - box.left) / box.width) * 100;
    const points = [...drawn.querySelectorAll(".pt")];
    const near = (p) => Math.abs(parseFloat(p.dataset.x) - share);
    const best = points.reduce((a, b) => (near(b) < near(a) ? b : a));
    const i = Number(best.dataset.i);
    move(i); tell(i);
  });
}

for (const figure of document.querySelectorAll("figure.figure")) equip(figure);
