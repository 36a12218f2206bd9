// The contact sheet: a row for each tube, a cell for each gate; only the rows in sight are there.

import { densityImage, drawDensity, drawGates, Frame, plane, sharp } from "./draw.mjs";
import { gatesNow, percentOf, percentText, Recent } from "./study.mjs";

export const ROW = 146;
const SIDE = 90;
export const MARKS = { accept: "✓", adjust: "✎", exclude: "✗", stale: "↻" };
export const WORDS = { accept: "approved", adjust: "adjusted", exclude: "rejected", stale: "look again" };

export class Sheet {
  /** `page` has decisions, shelf, order (tubes shown), at (row, cell), counts(tube) and choose(row, cell). */
  constructor(page, scroller, pad) {
    Object.assign(this, { page, scroller, pad });
    this.rows = new Map();
    this.images = new Recent(600);
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
    new ResizeObserver(() => this.draw()).observe(scroller);
  }

  /** Draw anew: other tubes, or another order. */
  reset() {
    for (const row of this.rows.values()) row.remove();
    this.rows.clear();
    this.pad.style.height = `${this.page.order.length * ROW}px`;
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - 1);
    const last = Math.min(this.page.order.length, first + Math.ceil(this.scroller.clientHeight / ROW) + 3);
    for (const [place, row] of this.rows)
      if (place < first || place >= last) {
        row.remove();
        this.rows.delete(place);
      }
    for (let place = first; place < last; place++) if (!this.rows.has(place)) this.add(place);
  }

  add(place) {
    const row = this.makeRow(place);
    this.rows.set(place, row);
    this.pad.append(row);
  }

  /** Draw a tube's row anew, if it is in sight. */
  refresh(tube) {
    const place = this.page.order.indexOf(tube);
    this.rows.get(place)?.remove();
    if (this.rows.delete(place)) this.add(place);
  }

  show(place) {
    const { scroller } = this;
    const [top, bottom] = [place * ROW, (place + 1) * ROW];
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (bottom > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = bottom - scroller.clientHeight;
    this.draw();
    this.rows.get(place)?.querySelector(".cell.here")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  makeRow(place) {
    const tube = this.page.order[place];
    const row = element("div", "row");
    row.style.top = `${place * ROW}px`;
    row.classList.toggle("here", place === this.page.at.row);
    row.append(this.makeLabel(tube), ...tube.cells.map((cell, k) => this.makeCell(tube, cell, place, k)));
    if (tube.missing.length) row.append(this.makeMissing(tube));
    this.fill(row, tube);
    return row;
  }

  /** Gates that could not be placed: nothing to look at, which is worth a look. */
  makeMissing(tube) {
    const box = element("div", "missing", `no gate: ${tube.missing.map(([population]) => population).join(", ")}`);
    box.title = tube.missing.map(([population, reason]) => `${population}: ${reason}`).join("\n");
    return box;
  }

  makeLabel(tube) {
    const label = element("div", "label");
    label.append(element("b", "", tube.id));
    const about = [tube.subject, tube.visit].filter(Boolean).join(" · ");
    if (about) label.append(element("div", "", about));
    label.append(element("div", "quiet", [tube.panel, tube.batch, tube.role === "sample" ? "" : tube.role].filter(Boolean).join(" · ")));
    label.append(element("div", "quiet", `doubt ${tube.score.toFixed(2)}`));
    for (const flag of tube.allFlags.slice(0, 2)) label.append(element("span", "flag", flag));
    if (tube.allFlags.length > 2) label.append(element("span", "flag", `+${tube.allFlags.length - 2}`));
    label.title = [...tube.faults, ...tube.gates.flatMap((gate) => gate.flags.map((flag) => `${gate.population}: ${flag}`))].join("\n");
    return label;
  }

  makeCell(tube, cell, place, k) {
    const state = this.page.decisions.state(tube, cell);
    const button = element("button", "cell");
    button.tabIndex = -1;
    button.classList.toggle("here", place === this.page.at.row && k === this.page.at.cell);
    button.classList.toggle("doubtful", cell.flagged);
    const canvas = element("canvas");
    sharp(canvas, SIDE, SIDE);
    const foot = element("span", "foot");
    foot.append(element("span", "percent", ""), element("span", `mark ${state}`, MARKS[state] ?? ""));
    button.append(canvas, element("span", "name", cell.population), foot);
    button.title = `${cell.parent} → ${cell.population}${state ? `, ${WORDS[state]}` : ""}`;
    button.addEventListener("click", () => this.page.choose(place, k));
    return button;
  }

  /** Pictures and percentages, as soon as they are unpacked. */
  async fill(row, tube) {
    const { cells } = await this.page.shelf.picturesOf(tube);
    const gates = gatesNow(tube, this.page.decisions);
    [...row.querySelectorAll(".cell")].forEach((button, k) => {
      const cell = tube.cells[k];
      const canvas = button.querySelector("canvas");
      const frame = new Frame(cell, { left: 0, top: 0, width: SIDE, height: SIDE });
      const context = sharp(canvas, SIDE, SIDE);
      const image = this.images.get(`${tube.index}/${k}`, () => densityImage(plane(cells[k].plane, cell.bins, 64), 64));
      drawDensity(context, frame, image);
      drawGates(context, frame, gates, { width: 1.4 });
    });
    const events = await this.page.counts(tube);
    [...row.querySelectorAll(".percent")].forEach((text, k) => {
      const { population, parent } = tube.cells[k];
      text.textContent = percentText(percentOf(events.get(population), events.get(parent)));
    });
  }
}

export function element(tag, classes = "", text = null) {
  const made = document.createElement(tag);
  if (classes) made.className = classes.trim();
  if (text !== null) made.textContent = text;
  return made;
}
