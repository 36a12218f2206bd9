// How many events every population would have with some gates moved: from binned data, within a stated error.
//
// A moved gate is counted in the complete, binned events of its parent. What that does to the populations
// below it, and what a moved gate above does to it, is told from a sample of the tube's events, each standing
// for the events of its kind (which gates they pass). At the gates' own places all counts are exact.

import { columnOf, contains, sameGate, sidesOf, STEPS, within } from "./gates.mjs";

export const LEVELS = 256;
const SUBCOLUMNS = 4;

/** A tube's events as the page has them, ready to be counted. `sample` may be null. */
export class Tally {
  constructor(tube, pictures, sample) {
    this.tube = tube;
    this.pictures = pictures;
    this.sample = sample;
    this.coarse = new WeakMap();
    this.applied = new Map(tube.gates.map((gate) => [gate.population, gate.applied]));
    if (sample) this.prepareSample();
  }

  prepareSample() {
    const { groups, n } = this.sample;
    this.weight = new Float64Array(n);
    this.pattern = new Float64Array(n);
    let at = 0;
    for (const { pattern, total: all, kept } of groups) {
      this.weight.fill(all / kept, at, at + kept);
      this.pattern.fill(pattern, at, (at += kept));
    }
    this.places = new Map();
    this.kept = new WeakMap();
    this.passesApplied = new Map(
      this.tube.conditions.map((name, bit) => [name, Uint8Array.from(this.pattern, (p) => Math.floor(p / 2 ** bit) % 2)]),
    );
    this.members = this.membersOf(this.passesApplied);
  }

  /** Every sampled event's place on an axis, spread evenly within its level; or as if seen in a mirror there. */
  placesOn(dimension, mirrored = false) {
    const index = this.tube.axes.findIndex(
      (axis) => axis.channel === dimension.channel && axis.matrix === dimension.matrix && axis.kind === dimension.transform.kind,
    );
    const key = `${index} ${mirrored}`;
    if (!this.places.has(key)) {
      const { low, high } = this.tube.axes[index];
      const inLevel = (event) => (mirrored ? 1 - spread(event, index) : spread(event, index));
      const place = (level, event) => low + ((level + inLevel(event)) / LEVELS) * (high - low);
      this.places.set(key, Float64Array.from(this.sample.levels[index], place));
    }
    return this.places.get(key);
  }

  /** Which sampled events lie in a gate, its parent not yet looked at; kept for as long as the gate is. */
  passes(gate, mirrored) {
    const kept = this.kept.get(gate) ?? {};
    if (!(mirrored in kept)) this.kept.set(gate, { ...kept, [mirrored]: this.decide(gate, mirrored) });
    return this.kept.get(gate)[mirrored];
  }

  decide(gate, mirrored) {
    const on = gate.dimensions.map((dimension) => this.placesOn(dimension, mirrored));
    const inside = new Uint8Array(this.sample.n);
    if (gate.type === "rectangle")
      for (let event = 0; event < inside.length; event++) inside[event] = on.every((places, i) => within(places[event], gate.low[i], gate.high[i])) ? 1 : 0;
    else for (let event = 0; event < inside.length; event++) inside[event] = contains(gate, on[0][event], on[1][event]) ? 1 : 0;
    return inside;
  }

  /** The same with the gate moved; events that the move does not concern stay as the engine found them. */
  passesMoved(population, gate, mirrored) {
    const before = this.passes(this.applied.get(population), mirrored);
    const after = this.passes(gate, mirrored);
    const engine = this.passesApplied.get(population);
    return after.map((inside, event) => (inside === before[event] ? engine[event] : inside));
  }

  /** Population → which sampled events are in it. */
  membersOf(passes) {
    const members = new Map([["root", new Uint8Array(this.sample.n).fill(1)]]);
    for (const { population, parent, applied } of this.tube.gates) {
      const above = members.get(parent);
      const inside = applied.type === "boolean" ? combine(applied, members) : passes.get(population);
      members.set(population, above.map((is, event) => is & inside[event]));
    }
    return members;
  }

  /**
   * Events of every population with some gates elsewhere than they were applied.
   *
   * `gates` is population → gate, of all gates that are not boolean. Returns `events`, population → number
   * (null if it cannot be told), `members`, who is in what now (null without a sample or a moved gate), the
   * same `mirrored`, which differs for events whose level an edge runs through, `sampled`, the populations that
   * were told from the sample, and `cut`, by how many events the count of an area differs with coarser bins.
   */
  count(gates) {
    const moves = [...gates].filter(([name, gate]) => !sameGate(gate, this.applied.get(name))).map(([name]) => name);
    const events = new Map([["root", this.tube.root]]);
    if (!moves.length) {
      for (const gate of this.tube.gates) events.set(gate.population, gate.events);
      return { events, members: null, mirrored: null, sampled: new Set(), cut: new Map() };
    }
    const [passes, other] = [false, true].map((mirrored) => this.sample && this.passesWith(moves, gates, mirrored));
    const members = passes && this.membersOf(passes);
    const mirrored = other && this.membersOf(other);
    const [sampled, cut] = [new Set(), new Map()];
    for (const gate of this.tube.gates) events.set(gate.population, this.countOne(gate, gates, { moves, passes, members, sampled, cut }));
    return { events, members, mirrored, sampled, cut };
  }

  /** Population → which sampled events pass its gate, some gates having moved. */
  passesWith(moves, gates, mirrored) {
    const passes = new Map(this.passesApplied);
    for (const name of moves) passes.set(name, this.passesMoved(name, gates.get(name), mirrored));
    return passes;
  }

  countOne(gate, gates, { moves, passes, members, sampled, cut }) {
    const isMoved = (name) => moves.includes(name);
    const where = this.whereCounted(gate);
    const own = isMoved(gate.population) || where.parts.some(isMoved);
    const parentMoved = isMoved(gate.parent) || upstream(this.tube, gate.parent).some(isMoved);
    if (!own && !upstream(this.tube, gate.population).some(isMoved)) return gate.events;
    if (own && where.parts.length && !where.exact(gates)) cut.set(gate.population, this.cutBy(where, gates));
    if (!parentMoved && where.parts.length) return this.countWithin(gate, where, gates, own);
    sampled.add(gate.population);
    if (!members) return null;
    if (!where.parts.length) return total(members.get(gate.population), this.weight);
    const change = this.changeWithin(gate.parent, members, where.parts.map((name) => passes.get(name)));
    return clamp(this.countWithin(gate, where, gates, own) + change);
  }

  /**
   * Events of a population whose parent is as it was. A threshold's are counted on its own axis, exactly where
   * it stands between two steps; of an area only the change is, so that where its edge was cancels out.
   */
  countWithin(gate, where, gates, own) {
    if (!own) return gate.events;
    if (where.exact(gates)) return where.count(gates);
    return clamp(gate.events + where.count(gates) - where.count(this.applied));
  }

  /** The gates that make a population within its parent, and how their events are counted there. */
  whereCounted(gate) {
    const cell = cellThatCounts(this.tube, gate.population);
    if (cell) {
      const parts = partsOf(gate, cell);
      const line = parts.length === 1 && this.applied.get(parts[0]).dimensions.length === 1;
      const exact = (gates) => line || parts.every((name) => onSteps(gates.get(name), cell));
      return { parts, exact, count: (gates, coarse) => this.inCell(cell, parts, gates, coarse) };
    }
    const line = this.tube.lines.findIndex((entry) => entry.population === gate.population);
    const count = (gates) => this.onLine(line, gates.get(gate.population));
    return line < 0 ? { parts: [] } : { parts: [gate.population], exact: () => true, count };
  }

  /** How much the bins' size decides about a moved area: the change, counted in bins twice as large. */
  cutBy(where, gates) {
    const change = (coarse) => where.count(gates, coarse) - where.count(this.applied, coarse);
    return Math.abs(change(true) - change(false));
  }

  /** Events that a population brings to some gates, less those it takes from them, its own gates having moved. */
  changeWithin(population, members, passes) {
    const [before, now] = [this.members.get(population), members.get(population)];
    let change = 0;
    for (let event = 0; event < before.length; event++)
      if (before[event] !== now[event] && passes.every((pass) => pass[event])) change += (now[event] - before[event]) * this.weight[event];
    return change;
  }

  /**
   * How far a percentage told from the sample may be off, in percentage points: 95 of 100 lie within.
   *
   * Each event of the sample stands for w; of the w that it stands for, all or none cross a moved edge. Events
   * of a level through which an edge runs may lie on either side of it. What an area's count changes with
   * coarser bins it may be off with its own.
   */
  margin(population, counted) {
    const { parent } = this.tube.gates.find((gate) => gate.population === population);
    const all = counted.events.get(parent);
    const ratio = all ? counted.events.get(population) / all : 0;
    if (!all || !Number.isFinite(ratio)) return 0;
    const cut = (counted.cut.get(population) ?? 0) + ratio * (counted.cut.get(parent) ?? 0);
    const sampled = counted.members && (counted.sampled.has(population) || counted.sampled.has(parent));
    const drawn = sampled ? 1.96 * Math.sqrt(this.variance(population, parent, ratio, counted)) : 0;
    return (100 * Math.hypot(cut, drawn)) / all;
  }

  variance(population, parent, ratio, { members, mirrored, sampled }) {
    const change = (from) => {
      const of = (name) => {
        const [before, now] = [from.get(name), members.get(name)];
        return sampled.has(name) ? (event) => now[event] - before[event] : () => 0;
      };
      const [above, below] = [of(population), of(parent)];
      return (event) => (above(event) - ratio * below(event)) ** 2;
    };
    const [crossed, unsure] = [change(this.members), change(mirrored)];
    let variance = 0;
    for (let event = 0; event < this.weight.length; event++) {
      const w = this.weight[event];
      variance += w * (w - 1) * crossed(event) + (w * w * unsure(event)) / 2;
    }
    return variance;
  }

  /** The parent's events in a cell's gates, from the finest complete counts there are, or coarser ones. */
  inCell(cell, parts, gates, coarse = false) {
    const picture = this.pictures.cells[this.tube.cells.indexOf(cell)];
    const shapes = parts.map((name) => gates.get(name));
    const sides = shapes.flatMap((shape) => sidesOf(shape, cell));
    if (shapes.length === 1 && sides.length === 1) {
      const [low, high] = [shapes[0].low[0], shapes[0].high[0]];
      return countLine(picture[sides[0]], cell[sides[0]], low, high);
    }
    const bins = coarse ? cell.bins / 2 : cell.bins;
    const plane = coarse ? this.coarsened(picture.plane, cell.bins) : picture.plane;
    if (shapes.every((shape) => shape.type === "rectangle")) return countRectangle(plane, { ...cell, bins }, shapes);
    return countArea(plane, { ...cell, bins }, shapes[0]);
  }

  /** A plane with bins twice as large; kept. */
  coarsened(fine, bins) {
    if (!this.coarse.has(fine)) {
      const sums = new Map();
      for (let i = 0; i < fine.places.length; i++) {
        const place = (Math.floor(fine.places[i] / bins) >> 1) * (bins / 2) + ((fine.places[i] % bins) >> 1);
        sums.set(place, (sums.get(place) ?? 0) + fine.counts[i]);
      }
      const places = [...sums.keys()].sort((a, b) => a - b);
      this.coarse.set(fine, { places, counts: places.map((place) => sums.get(place)) });
    }
    return this.coarse.get(fine);
  }

  /** The parent's events beyond a threshold that no cell shows. */
  onLine(line, gate) {
    return countLine(this.pictures.lines[line], this.tube.lines[line].x, gate.low[0], gate.high[0]);
  }

  /** What moving gates above a cell brings to its picture and takes from it: [x, y, weight] of each event. */
  changeAbove(cell, members) {
    if (!members) return [];
    const [before, now] = [this.members.get(cell.parent), members.get(cell.parent)];
    const [across, up] = [cell.x, cell.y].map((axis) => this.axisPlaces(axis));
    const changes = [];
    if (!across || !up) return changes;
    for (let event = 0; event < before.length; event++)
      if (before[event] !== now[event])
        changes.push([across[event], up[event], (now[event] - before[event]) * this.weight[event]]);
    return changes;
  }

  axisPlaces(axis) {
    const known = this.tube.axes.some((a) => a.channel === axis.channel && a.matrix === axis.matrix && a.kind === axis.kind);
    return known ? this.placesOn({ channel: axis.channel, matrix: axis.matrix, transform: { kind: axis.kind } }) : null;
  }
}

/** Whether every limit of a gate stands between two bins of what it is counted in. */
function onSteps(gate, cell) {
  if (gate.type !== "rectangle") return false;
  return sidesOf(gate, cell).every((side, place) =>
    [gate.low[place], gate.high[place]].every((limit) => {
      const bins = limit === null ? 0 : ((limit - cell[side].low) / (cell[side].high - cell[side].low)) * cell.bins;
      return Math.abs(bins - Math.round(bins)) < 1e-6;
    }),
  );
}

/** An even, fixed place within a level, so that an edge through a level takes its share of the events there. */
function spread(event, axis) {
  const x = Math.imul(event + 1, 0x9e3779b1) ^ Math.imul(axis + 1, 0x85ebca6b);
  const y = Math.imul(x ^ (x >>> 15), 0xc2b2ae35);
  return ((y ^ (y >>> 13)) >>> 0) / 2 ** 32;
}

function combine(gate, members) {
  const parts = gate.operands.map(([name, complement]) => {
    const mask = members.get(name);
    return complement ? mask.map((is) => 1 - is) : mask;
  });
  if (gate.operator === "not") return parts[0].map((is) => 1 - is);
  const join = gate.operator === "and" ? (a, b) => a & b : (a, b) => a | b;
  return parts.reduce((all, part) => all.map((is, event) => join(is, part[event])));
}

function total(mask, weight) {
  let sum = 0;
  for (let event = 0; event < mask.length; event++) if (mask[event]) sum += weight[event];
  return sum;
}

function clamp(events) {
  return Math.max(0, events);
}

/** The populations that decide who is in one: its ancestors and what boolean gates join, in gating order. */
export function upstream(tube, population) {
  const found = new Set();
  const byName = new Map(tube.gates.map((gate) => [gate.population, gate]));
  const todo = [population];
  while (todo.length) {
    const gate = byName.get(todo.pop());
    if (!gate) continue;
    const joined = gate.applied.type === "boolean" ? gate.applied.operands.map(([name]) => name) : [];
    for (const name of [gate.parent, ...joined])
      if (name !== "root" && !found.has(name)) {
        found.add(name);
        todo.push(name);
      }
  }
  return tube.gates.map((gate) => gate.population).filter((name) => found.has(name));
}

/** The cell in whose picture a population's own gate can be counted. */
export function cellThatCounts(tube, population) {
  const parent = tube.gates.find((gate) => gate.population === population)?.parent;
  return (
    tube.cells.find((cell) => cell.population === population) ??
    tube.cells.find((cell) => cell.parent === parent && cell.edits.includes(population))
  );
}

/** The gates that make a population within its parent, as a cell shows them. */
function partsOf(gate, cell) {
  return cell.population === gate.population ? cell.edits : [gate.population];
}

/** Events between two limits on one axis; a limit between two steps is exact, within one it is shared out. */
export function countLine({ places, counts }, axis, low, high) {
  const [from, to] = [low, high].map((limit) => limit === null ? null : ((limit - axis.low) / (axis.high - axis.low)) * STEPS);
  let sum = 0;
  for (let i = 0; i < places.length; i++) sum += counts[i] * share(places[i], from, to);
  return sum;
}

/** What part of the bin from k to k + 1 lies between two limits; a nearly whole number counts as whole. */
function share(k, from, to) {
  const low = from === null || whole(from) <= 0 ? -Infinity : whole(from);
  const high = to === null ? Infinity : whole(to);
  return Math.max(0, Math.min(k + 1, high) - Math.max(k, low));
}

function whole(x) {
  return Math.abs(x - Math.round(x)) < 1e-6 ? Math.round(x) : x;
}

function countRectangle({ places, counts }, cell, shapes) {
  const limits = { x: [null, null], y: [null, null] };
  for (const shape of shapes)
    sidesOf(shape, cell).forEach((side, place) => {
      const scale = (limit) => limit === null ? null : ((limit - cell[side].low) / (cell[side].high - cell[side].low)) * cell.bins;
      limits[side] = [scale(shape.low[place]), scale(shape.high[place])];
    });
  let sum = 0;
  for (let i = 0; i < places.length; i++) {
    const [x, y] = [Math.floor(places[i] / cell.bins), places[i] % cell.bins];
    sum += counts[i] * share(x, ...limits.x) * share(y, ...limits.y);
  }
  return sum;
}

/** Events in a polygon or ellipse: four columns through each bin, each cut exactly. */
export function countArea({ places, counts }, cell, gate) {
  const width = (cell.x.high - cell.x.low) / cell.bins;
  const height = (cell.y.high - cell.y.low) / cell.bins;
  let sum = 0;
  let column = -1;
  let stretches = [];
  for (let i = 0; i < places.length; i++) {
    const x = Math.floor(places[i] / cell.bins);
    const y = places[i] % cell.bins;
    if (x !== column) {
      column = x;
      stretches = Array.from({ length: SUBCOLUMNS }, (_, k) =>
        columnOf(gate, cell.x.low + (x + (k + 0.5) / SUBCOLUMNS) * width),
      ).flat();
    }
    const bottom = cell.y.low + y * height;
    for (const [low, high] of stretches) {
      const inside = Math.min(high, bottom + height) - Math.max(low, bottom);
      if (inside > 0) sum += (counts[i] * inside) / height / SUBCOLUMNS;
    }
  }
  return sum;
}
