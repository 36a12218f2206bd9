// Gates as gates.csv writes them: where they are, what they hold, how they move.

/** A gate's text for the overrides file: the keys in the order of the gate it came from. */
export function gateText(gate) {
  return JSON.stringify(gate);
}

export function sameGate(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** A copy whose coordinates may be changed. */
export function copyGate(gate) {
  return JSON.parse(JSON.stringify(gate));
}

/** Which of a cell's axes a gate's dimensions lie on: ["x"], ["y"] or ["x", "y"]. */
export function sidesOf(gate, cell) {
  return gate.dimensions.map((dimension, place) => {
    if (gate.dimensions.length === 2) return "xy"[place];
    return dimension.channel === cell.x.channel ? "x" : "y";
  });
}

/**
 * What a person can take hold of in a cell.
 *
 * A line is one limit of a rectangle; a vertex is one of a polygon; whole is a gate that encloses something.
 */
export function handlesOf(cell, gates) {
  const handles = [];
  for (const population of cell.edits) {
    const gate = gates.get(population);
    if (gate.type === "rectangle") handles.push(...linesOf(population, gate, sidesOf(gate, cell)));
    if (gate.type === "polygon")
      gate.vertices.forEach(([x, y], index) => handles.push({ type: "vertex", population, index, x, y }));
    if (encloses(gate)) handles.push({ type: "whole", population });
  }
  return handles;
}

function linesOf(population, gate, sides) {
  const lines = [];
  sides.forEach((side, place) => {
    for (const limit of ["low", "high"])
      if (gate[limit][place] !== null)
        lines.push({ type: "line", population, side, place, limit, value: gate[limit][place] });
  });
  return lines;
}

function encloses(gate) {
  if (gate.type !== "rectangle") return true;
  return gate.dimensions.length === 2 && [...gate.low, ...gate.high].every((limit) => limit !== null);
}

/**
 * What lies under a point, dearest first: a corner of two lines, a vertex, a line, the inside.
 *
 * `reach` is the distance along each axis that still counts as touching, in the axes' units.
 */
export function touched(cell, gates, x, y, reach) {
  const handles = handlesOf(cell, gates);
  const vertices = handles.filter((h) => h.type === "vertex");
  const near = vertices.filter((h) => Math.hypot((h.x - x) / reach.x, (h.y - y) / reach.y) < 1);
  near.sort((a, b) => distance(a, x, y, reach) - distance(b, x, y, reach));
  if (near.length) return [near[0]];
  const at = { x, y };
  const lines = handles.filter((h) => h.type === "line" && Math.abs(h.value - at[h.side]) < reach[h.side]);
  const nearest = (side) =>
    lines.filter((h) => h.side === side).sort((a, b) => Math.abs(a.value - at[side]) - Math.abs(b.value - at[side]))[0];
  const both = [nearest("x"), nearest("y")].filter(Boolean);
  if (both.length) return both;
  return handles.filter((h) => h.type === "whole" && contains(gates.get(h.population), x, y)).slice(0, 1);
}

function distance(handle, x, y, reach) {
  return Math.hypot((handle.x - x) / reach.x, (handle.y - y) / reach.y);
}

/** Gates after some handles were moved by (dx, dy), in the axes' units, and set on the axes' steps. */
export function moved(cell, gates, handles, dx, dy) {
  const by = { x: dx, y: dy };
  const after = new Map(gates);
  for (const handle of handles) {
    const gate = copyGate(after.get(handle.population));
    if (handle.type === "line") {
      const place = snap(cell[handle.side], handle.value + by[handle.side], stepsOf(cell));
      gate[handle.limit][handle.place] = place;
      if (!inOrder(gate, handle.place)) continue;
    } else if (handle.type === "vertex") 
      gate.vertices[handle.index] = [snap(cell.x, handle.x + dx), snap(cell.y, handle.y + dy)];
     else 
      shift(gate, cell, dx, dy);
    
    after.set(handle.population, gate);
  }
  return after;
}

function inOrder(gate, place) {
  const [low, high] = [gate.low[place], gate.high[place]];
  return low === null || high === null || low < high;
}

function shift(gate, cell, dx, dy) {
  const to = [snapDistance(cell.x, dx), snapDistance(cell.y, dy)];
  const by = (values) => values.map((value, place) => rounded(value + to[place]));
  if (gate.type === "polygon") gate.vertices = gate.vertices.map(by);
  if (gate.type === "ellipsoid") gate.mean = by(gate.mean);
  if (gate.type === "rectangle") [gate.low, gate.high] = [by(gate.low), by(gate.high)];
}

export const STEPS = 512;

/** Steps of a cell's axes: those of the counts that decide, so that a line between two of them is exact. */
export function stepsOf(cell) {
  return cell.bins === 256 ? 256 : STEPS;
}

/** The nearest step of an axis. */
export function snap(axis, value, steps = STEPS) {
  const step = (axis.high - axis.low) / steps;
  const held = Math.min(axis.high, Math.max(axis.low, value));
  return rounded(axis.low + Math.round((held - axis.low) / step) * step);
}

function snapDistance(axis, length) {
  const step = (axis.high - axis.low) / STEPS;
  return Math.round(length / step) * step;
}

/** Ten significant digits: no tail of binary fractions in the file. */
function rounded(value) {
  return Number(value.toPrecision(10));
}

/** Whether a point lies in a gate on two axes (edges as the engine counts them, but for rounding). */
export function contains(gate, x, y) {
  if (gate.type === "rectangle")
    return [x, y].every((value, i) => within(value, gate.low[i] ?? null, gate.high[i] ?? null));
  if (gate.type === "polygon") return inPolygon(gate.vertices, x, y);
  return columnOf(gate, x).some(([low, high]) => low <= y && y < high);
}

function inPolygon(vertices, x, y) {
  let inside = false;
  let [x0, y0] = vertices.at(-1);
  for (const [x1, y1] of vertices) {
    if (x0 <= x !== x1 <= x && y0 + ((x - x0) / (x1 - x0)) * (y1 - y0) <= y) inside = !inside;
    [x0, y0] = [x1, y1];
  }
  return inside;
}

/** Between two limits, of which either may be open. */
export function within(value, low, high) {
  return (low === null || value >= low) && (high === null || value < high);
}

/** The stretches of y that a polygon or ellipse on two axes holds at one x: [[low, high], ...]. */
export function columnOf(gate, x) {
  if (gate.type === "polygon") return polygonColumn(gate.vertices, x);
  if (gate.type === "ellipsoid") return ellipseColumn(gate, x);
  return within(x, gate.low[0], gate.high[0]) ? [[gate.low[1] ?? -Infinity, gate.high[1] ?? Infinity]] : [];
}

function polygonColumn(vertices, x) {
  const crossings = [];
  vertices.forEach(([x1, y1], i) => {
    const [x0, y0] = vertices[(i + vertices.length - 1) % vertices.length];
    if (x0 <= x !== x1 <= x) crossings.push(y0 + ((x - x0) / (x1 - x0)) * (y1 - y0));
  });
  crossings.sort((a, b) => a - b);
  return crossings.flatMap((low, i) => (i % 2 === 0 ? [[low, crossings[i + 1]]] : []));
}

function ellipseColumn(gate, x) {
  const [[a, b], [, d]] = gate.covariance;
  const away = x - gate.mean[0];
  const left = (gate.distance_square - (away * away) / a) * (d - (b * b) / a);
  if (left < 0) return [];
  const middle = gate.mean[1] + (b / a) * away;
  return [[middle - Math.sqrt(left), middle + Math.sqrt(left)]];
}

/** Points of an ellipse's outline. */
export function ellipseOutline(gate, n = 90) {
  const [[a, b], [, d]] = gate.covariance;
  const root = Math.sqrt(a);
  const low = Math.sqrt(Math.max(0, d - (b * b) / a));
  const size = Math.sqrt(gate.distance_square);
  return Array.from({ length: n }, (_, i) => {
    const [c, s] = [Math.cos((2 * Math.PI * i) / n), Math.sin((2 * Math.PI * i) / n)];
    return [gate.mean[0] + size * root * c, gate.mean[1] + size * ((b / root) * c + low * s)];
  });
}

/** Where a gate is on an axis, as one number for comparing tubes: its limit, or the middle of its corners. */
export function positionOf(gate, cell, side) {
  const place = sidesOf(gate, cell).indexOf(side);
  if (place < 0) return null;
  if (gate.type === "polygon") return gate.vertices.reduce((sum, v) => sum + v[place], 0) / gate.vertices.length;
  if (gate.type === "ellipsoid") return gate.mean[place];
  return gate.low[place] ?? gate.high[place];
}
