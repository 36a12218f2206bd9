// Drawing on canvases: density, gate, axes, curves, the cohort.

import { ellipseOutline, sidesOf, STEPS } from "./gates.mjs";

export const INK = "#1b1f24";
const GREY = "#5b6470";
const TUBE = "#3b6fb6";
const CONTROL = "#b3500f";
const FONT = "system-ui, 'Segoe UI', Arial, sans-serif";

// Viridis, read at nine places: light and dark tell it apart for every eye. White is no event.
const VIRIDIS = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"];
const COLOURS = new Uint32Array(
  Uint8ClampedArray.from(
    Array.from({ length: 256 }, (_, i) => {
      const at = (i / 255) * (VIRIDIS.length - 1);
      const low = Math.min(VIRIDIS.length - 2, Math.floor(at));
      const part = (c) => {
        const [a, b] = [VIRIDIS[low], VIRIDIS[low + 1]].map((hex) => parseInt(hex.slice(c, c + 2), 16));
        return a + (at - low) * (b - a);
      };
      return [part(0), part(2), part(4), 255];
    }).flat(),
  ).buffer,
);

/** A cell's counts, shape side × side, added up to a coarser side where asked for. */
export function plane({ places, counts }, bins, side) {
  const grid = new Float32Array(side * side);
  const factor = bins / side;
  for (let i = 0; i < places.length; i++) {
    const [x, y] = [Math.floor(places[i] / bins), places[i] % bins];
    grid[Math.floor(x / factor) * side + Math.floor(y / factor)] += counts[i];
  }
  return grid;
}

/** Density as an image: logarithmic, the fullest bin yellow, y upwards. */
export function densityImage(grid, side) {
  const canvas = new OffscreenCanvas(side, side);
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  const pixels = new Uint32Array(image.data.buffer);
  let most = 8;
  for (const count of grid) if (count > most) most = count;
  const scale = 255 / Math.log(1 + most);
  for (let x = 0; x < side; x++)
    for (let y = 0; y < side; y++) {
      const count = grid[x * side + y];
      if (count >= 0.5) pixels[(side - 1 - y) * side + x] = COLOURS[Math.round(scale * Math.log(1 + count))];
    }
  context.putImageData(image, 0, 0);
  return canvas;
}

/** A rectangle of a canvas on which axis values are placed. */
export class Frame {
  constructor(cell, { left, top, width, height, view }) {
    Object.assign(this, { cell, left, top, width, height });
    this.view = view ?? { x: [cell.x.low, cell.x.high], y: [cell.y.low, cell.y.high] };
  }

  x(value) {
    const [low, high] = this.view.x;
    return this.left + ((value - low) / (high - low)) * this.width;
  }

  y(value) {
    const [low, high] = this.view.y;
    return this.top + this.height - ((value - low) / (high - low)) * this.height;
  }

  /** Axis values of a place on the canvas. */
  at(px, py) {
    const { x, y } = this.view;
    return {
      x: x[0] + ((px - this.left) / this.width) * (x[1] - x[0]),
      y: y[0] + ((this.top + this.height - py) / this.height) * (y[1] - y[0]),
    };
  }
}

export function sharp(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

/** The density within a frame, cut at its edges. */
export function drawDensity(context, frame, image) {
  const { cell } = frame;
  context.save();
  context.beginPath();
  context.rect(frame.left, frame.top, frame.width, frame.height);
  context.clip();
  context.fillStyle = "#fff";
  context.fill();
  context.imageSmoothingEnabled = false;
  const [left, top] = [frame.x(cell.x.low), frame.y(cell.y.high)];
  context.drawImage(image, left, top, frame.x(cell.x.high) - left, frame.y(cell.y.low) - top);
  context.restore();
}

/** The outline of a cell's gates: black on white, dashed and grey for where the automatic gate was. */
export function drawGates(context, frame, gates, { ghost = false, width = 1.8 } = {}) {
  context.save();
  context.beginPath();
  context.rect(frame.left, frame.top, frame.width, frame.height);
  context.clip();
  const passes = ghost ? [["#fff", width + 1, []], [GREY, width, [6, 4]]] : [["#fff", width + 2.4, []], [INK, width, []]];
  for (const [colour, line, dash] of passes) {
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.lineJoin = "round";
    context.setLineDash(dash);
    context.beginPath();
    for (const path of outlines(frame, gates)) 
      path.forEach(([x, y], i) => context[i ? "lineTo" : "moveTo"](frame.x(x), frame.y(y)));
    
    context.stroke();
  }
  context.restore();
}

function outlines(frame, gates) {
  const { cell } = frame;
  const paths = [];
  const limits = { x: [], y: [] };
  for (const name of cell.edits) {
    const gate = gates.get(name);
    if (gate.type === "polygon") paths.push([...gate.vertices, gate.vertices[0]]);
    if (gate.type === "ellipsoid") paths.push([...ellipseOutline(gate), ellipseOutline(gate)[0]]);
    if (gate.type === "rectangle")
      sidesOf(gate, cell).forEach((side, place) => (limits[side] = [gate.low[place], gate.high[place]]));
  }
  return [...paths, ...rectangleLines(frame, limits)];
}

/** A threshold is a line across; two thresholds meet in a corner and go on dashed in thought, whole on screen. */
function rectangleLines(frame, limits) {
  const ends = { x: frame.view.x, y: frame.view.y };
  const lines = [];
  const closed = limits.x.length && limits.y.length && [...limits.x, ...limits.y].every((limit) => limit !== null);
  if (closed) {
    const [[l, r], [b, t]] = [limits.x, limits.y];
    return [[[l, b], [r, b], [r, t], [l, t], [l, b]]];
  }
  for (const x of limits.x) if (x !== null && x !== undefined) lines.push([[x, ends.y[0]], [x, ends.y[1]]]);
  for (const y of limits.y) if (y !== null && y !== undefined) lines.push([[ends.x[0], y], [ends.x[1], y]]);
  return lines;
}

/** Grips where a hand can take hold; the chosen ones are filled. */
export function drawGrips(context, frame, handles, chosen) {
  for (const handle of handles) {
    if (handle.type === "whole") continue;
    const [x, y] =
      handle.type === "vertex"
        ? [frame.x(handle.x), frame.y(handle.y)]
        : handle.side === "x"
          ? [frame.x(handle.value), frame.top + frame.height * 0.06]
          : [frame.left + frame.width * 0.94, frame.y(handle.value)];
    if (x < frame.left - 1 || x > frame.left + frame.width + 1 || y < frame.top - 1 || y > frame.top + frame.height + 1) continue;
    context.beginPath();
    context.arc(x, y, 4.5, 0, 7);
    context.fillStyle = chosen.some((other) => sameHandle(other, handle)) ? INK : "#fff";
    context.strokeStyle = INK;
    context.lineWidth = 1.6;
    context.fill();
    context.stroke();
  }
}

export function sameHandle(a, b) {
  return ["type", "population", "side", "place", "limit", "index"].every((key) => a[key] === b[key]);
}

const RAISED = Object.fromEntries([..."0123456789-"].map((digit, i) => [digit, "⁰¹²³⁴⁵⁶⁷⁸⁹⁻"[i]]));

function tickText(label) {
  const [base, exponent] = label.split("^");
  return exponent === undefined ? label : base + [...exponent].map((digit) => RAISED[digit]).join("");
}

/** Both axes with decades as flow users know them: named ticks that do not touch, small ones between. */
export function drawAxes(context, frame) {
  const { cell } = frame;
  context.strokeStyle = GREY;
  context.lineWidth = 1;
  context.strokeRect(frame.left + 0.5, frame.top + 0.5, frame.width - 1, frame.height - 1);
  context.fillStyle = INK;
  context.font = `12px ${FONT}`;
  const bottom = frame.top + frame.height;
  drawTicks(cell.x, frame.view.x, 34, (value, label) => {
    const x = Math.round(frame.x(value)) + 0.5;
    stroke(context, x, bottom, x, bottom + (label === null ? 4 : 8));
    if (label) centred(context, label, x, bottom + 21);
  }, (value) => frame.x(value));
  drawTicks(cell.y, frame.view.y, 18, (value, label) => {
    const y = Math.round(frame.y(value)) + 0.5;
    stroke(context, frame.left - (label === null ? 4 : 8), y, frame.left, y);
    context.textAlign = "right";
    if (label) context.fillText(label, frame.left - 11, y + 4);
  }, (value) => frame.y(value));
  context.font = `600 13px ${FONT}`;
  centred(context, axisTitle(cell.x), frame.left + frame.width / 2, bottom + 40);
  context.save();
  context.translate(frame.left - 46, frame.top + frame.height / 2);
  context.rotate(-Math.PI / 2);
  centred(context, axisTitle(cell.y), 0, 0);
  context.restore();
}

function axisTitle(axis) {
  return axis.kind === "linear" ? axis.label : `${axis.label}, ${axis.kind}`;
}

function drawTicks(axis, [low, high], apart, draw, position) {
  let last = null;
  for (const [value, label] of [...axis.ticks].reverse()) {
    if (value < low || value > high) continue;
    if (!label) draw(value, null);
    else {
      const free = last === null || Math.abs(position(value) - last) >= apart;
      draw(value, free ? tickText(label) : "");
      if (free) last = position(value);
    }
  }
}

function stroke(context, x0, y0, x1, y1) {
  context.beginPath();
  context.moveTo(x0, y0);
  context.lineTo(x1, y1);
  context.stroke();
}

function centred(context, text, x, y) {
  context.textAlign = "center";
  context.fillText(text, x, y);
}

/** A smooth curve of counts on an axis: 128 places, each a weighted mean of its neighbours, the highest 1. */
export function curveOf({ places, counts }, n = 128) {
  const sums = new Float64Array(n);
  for (let i = 0; i < places.length; i++) sums[Math.floor((places[i] * n) / STEPS)] += counts[i];
  const smooth = sums.map((_, i) => {
    let sum = 0;
    for (let k = -4; k <= 4; k++) if (i + k > 0 && i + k < n - 1) sum += sums[i + k] * Math.exp((-k * k) / 4.5);
    return sum;
  });
  const highest = Math.max(...smooth, 1e-9);
  return smooth.map((value) => value / highest);
}

/** Curves beside an axis: the tube's filled, each control's a line of its own dash. */
export function drawCurves(context, frame, side, { tube, controls }, size) {
  const axis = frame.cell[side];
  const place = (i, value, n) => {
    const at = axis.low + ((i + 0.5) / n) * (axis.high - axis.low);
    return side === "x"
      ? [frame.x(at), frame.top - 4 - value * size]
      : [frame.left + frame.width + 4 + value * size, frame.y(at)];
  };
  context.save();
  context.beginPath();
  if (side === "x") context.rect(frame.left, frame.top - 6 - size, frame.width, size + 4);
  else context.rect(frame.left + frame.width + 2, frame.top, size + 4, frame.height);
  context.clip();
  const trace = (curve) => {
    context.beginPath();
    curve.forEach((value, i) => context[i ? "lineTo" : "moveTo"](...place(i, value, curve.length)));
  };
  trace(tube);
  context.lineTo(...place(tube.length - 1, 0, tube.length));
  context.lineTo(...place(0, 0, tube.length));
  context.fillStyle = `${TUBE}66`;
  context.fill();
  controls.forEach((curve, i) => {
    trace(curve);
    context.strokeStyle = CONTROL;
    context.lineWidth = 1.8;
    context.setLineDash([[], [6, 3], [2, 2]][i % 3]);
    context.stroke();
  });
  context.restore();
}

/** The percentage, in the corner that holds the fewest events. */
export function drawPercent(context, frame, grid, side, text) {
  const half = side / 2;
  const sums = [0, 0, 0, 0];
  grid.forEach((count, i) => (sums[(Math.floor(i / side) < half ? 0 : 1) + (i % side < half ? 0 : 2)] += count));
  const corner = [2, 3, 1, 0].reduce((best, k) => (sums[k] < sums[best] ? k : best), 2);
  context.font = `700 17px ${FONT}`;
  const width = context.measureText(text).width + 12;
  const left = corner % 2 ? frame.left + frame.width - width - 8 : frame.left + 8;
  const top = corner > 1 ? frame.top + 14 : frame.top + frame.height - 36;
  context.fillStyle = "rgba(255,255,255,.88)";
  context.fillRect(left, top, width, 24);
  context.fillStyle = INK;
  centred(context, text, left + width / 2, top + 18);
}

/**
 * All tubes of a kind by batch, this one marked; returns where each point is.
 *
 * `values` is one number or null per tube.
 */
export function drawCohort(context, { left, top, width, height }, { title, batches, points, here, form }) {
  const known = points.filter((point) => point.value !== null);
  const sorted = known.map((point) => point.value).sort((a, b) => a - b);
  const [low, high] = spanOf(sorted, here);
  const y = (value) => top + height - 4 - ((Math.min(high, Math.max(low, value)) - low) / (high - low || 1)) * (height - 8);
  context.fillStyle = INK;
  context.font = `600 12px ${FONT}`;
  context.textAlign = "left";
  context.fillText(title, left, top - 7);
  context.font = `11px ${FONT}`;
  context.textAlign = "right";
  context.fillStyle = GREY;
  context.fillText(form(high), left - 6, top + 9);
  context.fillText(form(low), left - 6, top + height);
  batches.forEach((batch, i) => {
    context.fillStyle = i % 2 ? "#f1f3f5" : "#e6e9ed";
    context.fillRect(left + (i * width) / batches.length, top, width / batches.length, height);
  });
  const middle = sorted[Math.floor(sorted.length / 2)];
  context.strokeStyle = GREY;
  context.setLineDash([3, 3]);
  if (middle !== undefined) stroke(context, left, y(middle), left + width, y(middle));
  context.setLineDash([]);
  const seen = new Map();
  const spots = known.map((point) => {
    const number = seen.get(point.batch) ?? 0;
    seen.set(point.batch, number + 1);
    const within = 0.12 + 0.76 * ((number * 0.618034) % 1);
    return { ...point, x: left + ((batches.indexOf(point.batch) + within) * width) / batches.length, y: y(point.value) };
  });
  for (const spot of spots.filter((other) => !other.here)) dot(context, spot.x, spot.y, 2.2, "#5b647099");
  for (const spot of spots.filter((other) => other.here)) {
    context.strokeStyle = CONTROL;
    context.lineWidth = 1.5;
    stroke(context, spot.x, top, spot.x, top + height);
    dot(context, spot.x, spot.y, 5, CONTROL);
  }
  if (batches.length <= 24) {
    context.fillStyle = GREY;
    batches.forEach((batch, i) => centred(context, batch, left + ((i + 0.5) * width) / batches.length, top + height + 13));
  }
  return spots;
}

/** All but the outermost 1 % of the values, a little wider, never without this tube's own. */
function spanOf(sorted, here) {
  if (!sorted.length) return [0, 1];
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  let [low, high] = [at(0.01), at(0.99)];
  if (here !== null && here !== undefined) [low, high] = [Math.min(low, here), Math.max(high, here)];
  const margin = 0.08 * (high - low) || Math.abs(high) * 0.05 || 1;
  return [low >= 0 ? Math.max(0, low - margin) : low - margin, high + margin];
}

function dot(context, x, y, radius, colour) {
  context.beginPath();
  context.arc(x, y, radius, 0, 7);
  context.fillStyle = colour;
  context.fill();
}
