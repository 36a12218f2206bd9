// One gate, large: axes, curves, the gate to be dragged, what it does to the populations below.

import {
  curveOf, densityImage, drawAxes, drawCohort, drawCurves, drawDensity, drawGates, drawGrips, drawPercent, Frame,
  plane, sameHandle, sharp,
} from "./draw.mjs";
import { upstream } from "./estimate.mjs";
import { handlesOf, moved, positionOf, sameGate, sidesOf, STEPS, stepsOf, touched } from "./gates.mjs";
import { element } from "./sheet.mjs";
import { gatesNow, percentOf, percentText, withMargin } from "./study.mjs";

const SIZE = { left: 66, top: 66, width: 390, height: 390, right: 60, bottom: 52 };
const [WIDTH, HEIGHT] = [SIZE.left + SIZE.width + SIZE.right, SIZE.top + SIZE.height + SIZE.bottom];
const CURVE = 50;
const TOUCH = 9;
const [COHORT_WIDTH, STRIP] = [790, 92];

export class Detail {
  /** `page` has study, decisions, shelf, current() and changed(tube); `parts` are the elements to fill. */
  constructor(page, parts) {
    Object.assign(this, { page, parts, tube: null, tally: null, gates: null, chosen: [], view: null, grabbed: null });
    parts.plot.addEventListener("pointerdown", (event) => this.grab(event));
    parts.plot.addEventListener("pointermove", (event) => this.drag(event));
    parts.plot.addEventListener("pointerup", () => this.release());
    parts.plot.addEventListener("pointercancel", () => this.release());
    parts.cohort.addEventListener("click", (event) => this.pick(event));
  }

  /** Show a tube's gate. */
  async open(tube, cell) {
    const again = tube === this.tube && cell === this.cell;
    Object.assign(this, { tube, cell });
    if (!again) [this.chosen, this.view] = [[], null];
    const [tally, controls] = await Promise.all([this.page.tally(tube), this.controlsOf(cell)]);
    if (tube !== this.tube || cell !== this.cell) return;
    Object.assign(this, { tally, controls, gates: gatesNow(tube, this.page.decisions) });
    this.draw();
  }

  /** The curves of the controls of both axes. */
  async controlsOf(cell) {
    const found = cell.controls.map(async ([side, control, curve]) => {
      const curves = await this.page.shelf.curvesOf(control);
      return { label: this.page.study.controls[control].label, side, curve: curveOf(curves[curve]) };
    });
    return Promise.all(found);
  }

  get frame() {
    return new Frame(this.cell, { ...SIZE, view: this.view });
  }

  draw() {
    const counted = this.tally.count(this.gates);
    this.drawPlot(counted);
    this.fillNumbers(counted);
    if (!this.grabbed) this.drawCohort(counted);
  }

  drawPlot({ events, members }) {
    const { cell, tally } = this;
    const { grid, image, curves } = this.shownEvents(tally.changeAbove(cell, members));
    const side = Math.sqrt(grid.length);
    const context = sharp(this.parts.plot, WIDTH, HEIGHT);
    const frame = this.frame;
    drawDensity(context, frame, image);
    const automatic = new Map(this.tube.gates.map((gate) => [gate.population, gate.automatic]));
    if (cell.edits.some((name) => !sameGate(this.gates.get(name), automatic.get(name))))
      drawGates(context, frame, automatic, { ghost: true });
    drawGates(context, frame, this.gates);
    if (this.editable) drawGrips(context, frame, handlesOf(cell, this.gates), this.chosen);
    drawAxes(context, frame);
    for (const axis of ["x", "y"]) {
      const controls = this.controls.filter((control) => control.side === axis).map((control) => control.curve);
      drawCurves(context, frame, axis, { tube: curves[axis], controls }, CURVE);
    }
    const percent = percentOf(events.get(cell.population), events.get(cell.parent));
    drawPercent(context, frame, grid, side, percentText(percent));
  }

  /** The parent's events in a plane, as an image and along both axes; kept until a gate above moves. */
  shownEvents(changes) {
    const { cell, tally } = this;
    if (!changes.length && this.kept?.cell === cell && this.kept.view === this.view) return this.kept;
    const side = Math.min(cell.bins, this.view ? 512 : 128);
    const picture = tally.pictures.cells[this.tube.cells.indexOf(cell)];
    const grid = plane(picture.plane, cell.bins, side);
    const curves = this.curvesWith(picture, changes, grid, side);
    const shown = { cell, view: this.view, grid, image: densityImage(grid, side), curves };
    if (!changes.length) this.kept = shown;
    return shown;
  }

  /** The tube's curves, and the picture itself, with what gates above it bring and take. */
  curvesWith(picture, changes, grid, side) {
    const { cell } = this;
    const step = (axis, value, n) => Math.min(n - 1, Math.max(0, Math.floor(((value - axis.low) / (axis.high - axis.low)) * n)));
    const dense = (counts) => {
      const full = new Float64Array(STEPS);
      counts.places.forEach((place, i) => (full[place] = counts.counts[i]));
      return full;
    };
    const lines = { x: dense(picture.x), y: dense(picture.y) };
    for (const [x, y, weight] of changes) {
      const at = step(cell.x, x, side) * side + step(cell.y, y, side);
      grid[at] = Math.max(0, grid[at] + weight);
      lines.x[step(cell.x, x, STEPS)] += weight;
      lines.y[step(cell.y, y, STEPS)] += weight;
    }
    const sparse = (full) => ({ places: full.map((_, i) => i), counts: full.map((value) => Math.max(0, value)) });
    return { x: curveOf(sparse(lines.x)), y: curveOf(sparse(lines.y)) };
  }

  fillNumbers(counted) {
    const { tube, cell, parts } = this;
    const before = this.tally.count(new Map(tube.gates.map((gate) => [gate.population, gate.automatic])));
    const now = percentOf(counted.events.get(cell.population), counted.events.get(cell.parent));
    const was = percentOf(before.events.get(cell.population), before.events.get(cell.parent));
    const about = this.isTold(counted) ? "≈ " : "";
    parts.heading.textContent = `${cell.parent} → ${cell.population}`;
    parts.about.textContent = [tube.id, tube.subject, tube.visit, tube.panel, tube.batch, tube.role === "sample" ? "" : tube.role]
      .filter(Boolean).join(" · ");
    parts.percent.textContent = about + withMargin(now, this.tally.margin(cell.population, counted));
    parts.numbers.replaceChildren(
      ...pair("automatic", percentText(was)),
      ...pair("change", changeText(now, was)),
      ...pair("events", about + wholeText(counted.events.get(cell.population))),
      ...pair("of parent", about + wholeText(counted.events.get(cell.parent))),
    );
    this.fillBelow(counted, before);
    this.fillLegend();
    this.fillDoubts();
  }

  /** Whether the cell's numbers are no longer those that the last run counted. */
  isTold({ events }) {
    const { cell, tube } = this;
    const counted = (name) => tube.byName.get(name)?.events ?? tube.root;
    return [cell.population, cell.parent].some((name) => events.get(name) !== counted(name));
  }

  /** Every population that the cell's gates decide about, with its percentage before and now. */
  fillBelow(counted, before) {
    const { tube, cell } = this;
    const below = tube.gates.filter(
      (gate) => gate.population !== cell.population && [cell.population, ...cell.edits].some((name) => upstream(tube, gate.population).includes(name)),
    );
    const own = tube.gates.filter((gate) => cell.edits.includes(gate.population) && gate.population !== cell.population);
    const rows = [...new Set([...own, ...below])].map((gate) => {
      const percents = [before, counted].map(({ events }) => percentOf(events.get(gate.population), events.get(gate.parent)));
      const texts = [percentText(percents[0]), withMargin(percents[1], this.tally.margin(gate.population, counted))];
      const row = element("tr");
      row.append(element("th", "", gate.population), ...texts.map((text) => element("td", "", text.replace(" %", ""))));
      row.append(element("td", "", changeText(percents[1], percents[0]).replace(" %", "")));
      row.title = `${gate.population}, per cent of ${gate.parent}`;
      return row;
    });
    this.parts.below.replaceChildren(...rows);
    this.parts.belowTable.hidden = !rows.length;
  }

  fillLegend() {
    const shown = this.controls.map(({ label, side }, i) => {
      const item = element("div", `legend control dash${this.controls.slice(0, i).filter((c) => c.side === side).length % 3}`);
      item.append(element("i"), document.createTextNode(label));
      return item;
    });
    const own = element("div", "legend tube");
    own.append(element("i"), document.createTextNode("this tube"));
    this.parts.legend.replaceChildren(own, ...shown);
  }

  fillDoubts() {
    const { cell, tube } = this;
    const lines = [
      `doubt ${cell.score.toFixed(2)}${cell.reasons.length ? `: ${cell.reasons.join("; ")}` : ""}`,
      ...cell.gate.flags.map((flag) => `flag ${flag}`),
      ...(cell.gate.confidence === null ? [] : [`confidence ${cell.gate.confidence}`]),
      ...tube.faults.map((fault) => `tube: ${fault}`),
      ...(this.editable ? [] : ["This gate is taken from the draw's sample tube: move it there."]),
    ];
    this.parts.doubts.replaceChildren(...lines.map((line) => element("li", "", line)));
  }

  get editable() {
    return !this.cell.borrowed;
  }

  /* dragging */

  reach(frame) {
    const { x, y } = frame.view;
    return { x: (TOUCH / frame.width) * (x[1] - x[0]), y: (TOUCH / frame.height) * (y[1] - y[0]) };
  }

  place(event) {
    const box = this.parts.plot.getBoundingClientRect();
    return this.frame.at(event.clientX - box.left, event.clientY - box.top);
  }

  grab(event) {
    if (!this.tally || !this.editable || event.button !== 0) return;
    const at = this.place(event);
    const handles = touched(this.cell, this.gates, at.x, at.y, this.reach(this.frame));
    this.chosen = handles;
    if (handles.length) {
      this.grabbed = { at, gates: this.gates, handles };
      this.parts.plot.setPointerCapture(event.pointerId);
      event.preventDefault();
    }
    this.soon();
  }

  drag(event) {
    if (!this.tally) return;
    const at = this.place(event);
    if (!this.grabbed) {
      const over = this.editable && touched(this.cell, this.gates, at.x, at.y, this.reach(this.frame)).length;
      this.parts.plot.style.cursor = over ? "grab" : "default";
      return;
    }
    this.parts.plot.style.cursor = "grabbing";
    const { at: from, gates, handles } = this.grabbed;
    this.gates = moved(this.cell, gates, handles, at.x - from.x, at.y - from.y);
    this.soon();
  }

  /** Draw before the next frame, once however many moves there were. */
  soon() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  release() {
    if (!this.grabbed) return;
    const before = this.grabbed.gates;
    this.grabbed = null;
    if (this.cell.edits.some((name) => !sameGate(before.get(name), this.gates.get(name)))) this.page.adjusted(this.gates);
    this.chosen = this.renewed(this.chosen);
    this.soon();
  }

  /** The same handles where they are now. */
  renewed(chosen) {
    return handlesOf(this.cell, this.gates).filter((handle) => chosen.some((other) => sameHandle(other, handle)));
  }

  /** Move the chosen handle, or all of the gate, by so many steps of the axes. */
  nudge(across, up) {
    if (!this.tally || !this.editable) return;
    const all = handlesOf(this.cell, this.gates);
    const wholes = all.filter((handle) => handle.type === "whole");
    const handles = this.chosen.length ? this.renewed(this.chosen) : wholes.length ? wholes : all;
    const step = (axis) => (axis.high - axis.low) / stepsOf(this.cell);
    const after = moved(this.cell, this.gates, handles, across * step(this.cell.x), up * step(this.cell.y));
    if (this.cell.edits.every((name) => sameGate(after.get(name), this.gates.get(name)))) return;
    this.gates = after;
    this.chosen = this.renewed(this.chosen);
    this.page.adjusted(after);
    this.soon();
  }

  /** Choose the next handle: none (all of the gate), then one after the other. */
  nextHandle() {
    const handles = handlesOf(this.cell, this.gates).filter((handle) => handle.type !== "whole");
    const at = handles.findIndex((handle) => this.chosen.length === 1 && sameHandle(handle, this.chosen[0]));
    this.chosen = at + 1 < handles.length ? [handles[at + 1]] : [];
    this.soon();
  }

  /** Between the whole axes and the gate's surroundings. */
  zoom() {
    this.view = this.view ? null : this.aroundGate();
    this.draw();
  }

  aroundGate() {
    const spots = { x: [], y: [] };
    for (const name of this.cell.edits) {
      const gate = this.gates.get(name);
      const sides = sidesOf(gate, this.cell);
      if (gate.type === "polygon") gate.vertices.forEach((v) => sides.forEach((side, i) => spots[side].push(v[i])));
      else if (gate.type === "ellipsoid")
        sides.forEach((side, i) => {
          const half = Math.sqrt(gate.covariance[i][i] * gate.distance_square);
          spots[side].push(gate.mean[i] - half, gate.mean[i] + half);
        });
      else sides.forEach((side, i) => spots[side].push(...[gate.low[i], gate.high[i]].filter((limit) => limit !== null)));
    }
    const around = (axis, values) => {
      const whole = axis.high - axis.low;
      if (!values.length) return [axis.low, axis.high];
      const [low, high] = [Math.max(axis.low, Math.min(...values)), Math.min(axis.high, Math.max(...values))];
      const half = Math.max((high - low) * 0.75, whole * 0.18);
      const middle = (low + high) / 2;
      return [Math.max(axis.low, middle - half), Math.min(axis.high, middle + half)];
    };
    return { x: around(this.cell.x, spots.x), y: around(this.cell.y, spots.y) };
  }

  /* the cohort */

  drawCohort(counted) {
    const { tube, page } = this;
    const same = page.study.tubes.filter((other) => other.panel === tube.panel && other.role === tube.role);
    const batches = [...new Set(same.map((other) => other.batch))].sort();
    const measures = this.measures(counted);
    const context = sharp(this.parts.cohort, COHORT_WIDTH, STRIP * measures.length + 10);
    this.spots = measures.flatMap(({ title, value, now, form }, strip) => {
      const points = same.map((other) => ({
        tube: other,
        batch: other.batch,
        here: other === tube,
        value: other === tube ? now : value(other),
      }));
      const box = { left: 58, top: 24 + strip * STRIP, width: COHORT_WIDTH - 68, height: STRIP - 46 };
      return drawCohort(context, box, { title, batches, points, here: now, form });
    });
  }

  /** What is compared across the cohort: the percentage, and where the gate is on each axis it cuts. */
  measures({ events }) {
    const { cell } = this;
    const cellOf = (other) => other.cells.find((entry) => entry.population === cell.population);
    const list = [
      {
        title: `${cell.population}, % of ${cell.parent}`,
        now: percentOf(events.get(cell.population), events.get(cell.parent)),
        value: (other) => {
          const gate = other.byName.get(cell.population);
          return gate ? percentOf(gate.events, other.byName.get(cell.parent)?.events ?? other.root) : null;
        },
        form: (value) => percentText(value),
      },
    ];
    for (const side of ["x", "y"]) {
      const name = cell.edits.find((edit) => sidesOf(this.gates.get(edit), cell).includes(side));
      if (!name || (cell.edits.length === 1 && side === "y" && sidesOf(this.gates.get(name), cell).length === 1)) continue;
      list.push({
        title: `where the gate is on ${cell[side].marker || cell[side].channel}`,
        now: positionOf(this.gates.get(name), cell, side),
        value: (other) => {
          const theirs = cellOf(other);
          return theirs ? positionOf(other.byName.get(name).applied, theirs, side) : null;
        },
        form: (value) => (Math.abs(value) >= 1000 ? `${Math.round(value / 1000)}K` : value.toFixed(2)),
      });
    }
    return list;
  }

  pick(event) {
    const box = this.parts.cohort.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const near = (this.spots ?? []).map((spot) => ({ spot, away: Math.hypot(spot.x - x, spot.y - y) })).filter(({ away }) => away < 9);
    near.sort((a, b) => a.away - b.away);
    if (near.length) this.page.goTo(near[0].spot.tube, this.cell.population);
  }
}

function pair(term, text) {
  return [element("dt", "", term), element("dd", "", text)];
}

function wholeText(events) {
  return events === null ? "–" : Math.round(events).toLocaleString("en-US");
}

function changeText(now, was) {
  if (now === null || was === null || !was) return "–";
  const relative = (100 * (now - was)) / was;
  if (Math.abs(relative) < 0.05) return "0";
  return `${relative >= 0 ? "+" : "−"}${Math.abs(relative).toFixed(1)} %`;
}
