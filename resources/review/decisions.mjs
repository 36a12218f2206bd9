// What a person has decided about each gate of each tube, with undo, kept through a reload.

import { basisOf, keyOf, reasonProblem, restsOn } from "./overrides.mjs";

/** The decisions of one review. `store` has getItem and setItem; `now` gives the time in UTC. */
export class Decisions {
  constructor(study, { store = null, now = utcNow } = {}) {
    Object.assign(this, { study, store, now });
    this.byKey = new Map();
    this.undone = [];
    this.log = [];
    this.name = `cytotrial.review/${study.study}/${study.run}/${study.templates.join(",")}`;
  }

  get(tube, cell) {
    return this.byKey.get(keyOf(tube, cell));
  }

  /** Put a decision, or take it back (null); remembers what was before. */
  set(tube, cell, decision, { remember = true } = {}) {
    const key = keyOf(tube, cell);
    if (remember) this.undone.push([key, this.byKey.get(key)]);
    this.put(key, decision && { ...decision, utc: this.now() });
    if (decision) this.note(tube, cell);
  }

  /** Write down what a decision rests on, as things are now. */
  note(tube, cell) {
    const decision = this.get(tube, cell);
    decision.rests = restsOn(tube, cell, this.byKey);
    decision.basis = basisOf(tube, cell, this.byKey);
  }

  /** Take over decisions that were read from a file and found to stand, and mark those that do not any more. */
  adopt(decisions, stale = new Map()) {
    for (const [key, decision] of decisions) this.put(key, decision);
    for (const { tube, cell } of this.decided()) if (decisions.has(keyOf(tube, cell))) this.note(tube, cell);
    for (const [key, decision] of stale) this.put(key, { ...decision, rests: "changed", old: true });
  }

  /** Tube and cell of every decision. */
  decided() {
    return this.study.tubes.flatMap((tube) =>
      tube.cells.filter((cell) => this.get(tube, cell)).map((cell) => ({ tube, cell })),
    );
  }

  put(key, decision) {
    if (decision) this.byKey.set(key, decision);
    else this.byKey.delete(key);
  }

  /** Take the last change back. Returns the key it was about, or null. */
  undo() {
    const last = this.undone.pop();
    if (!last) return null;
    this.put(...last);
    return last[0];
  }

  /** accept, adjust or exclude; stale if a gate above has moved since; empty if nothing is decided. */
  state(tube, cell) {
    const decision = this.get(tube, cell);
    if (!decision) return "";
    return decision.rests !== restsOn(tube, cell, this.byKey) ? "stale" : decision.status;
  }

  /** Why a decision cannot be exported yet; empty if it can. */
  problem(tube, cell) {
    const decision = this.get(tube, cell);
    if (!decision) return "";
    if (this.state(tube, cell) === "stale") return "What it rests on has changed since: look again and decide anew.";
    return reasonProblem(decision.status, decision.code, decision.text);
  }

  /** Tube and cell of every decision that cannot be exported yet; rows of the file that are stale keep nobody. */
  unfinished() {
    return this.decided().filter(({ tube, cell }) => !this.get(tube, cell).old && this.problem(tube, cell));
  }

  /** Flagged tubes, and how many of them are reviewed: every flagged gate decided, or any if none is. */
  progress() {
    const flagged = this.study.tubes.filter((tube) => tube.flagged);
    return { flagged: flagged.length, reviewed: flagged.filter((tube) => this.reviewed(tube)).length };
  }

  reviewed(tube) {
    const flagged = tube.cells.filter((cell) => cell.flagged);
    const decided = (cell) => ["accept", "adjust", "exclude"].includes(this.state(tube, cell));
    return flagged.length ? flagged.every(decided) : tube.cells.some(decided);
  }

  save() {
    const kept = { base: this.study.base, log: this.log, decisions: [...this.byKey] };
    try {
      this.store?.setItem(this.name, JSON.stringify(kept));
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Bring back what was kept. Rows exported from another state of the file are forgotten; decisions about
   * gates that were placed anew meanwhile become stale.
   */
  load() {
    const text = this.store?.getItem(this.name);
    if (!text) return;
    const kept = JSON.parse(text);
    if (kept.base === this.study.base) {
      this.log = kept.log;
      this.byKey.clear();
    }
    const cells = new Set(this.study.tubes.flatMap((tube) => tube.cells.map((cell) => keyOf(tube, cell))));
    for (const [key, decision] of kept.decisions)
      if (cells.has(key) && !(this.byKey.get(key)?.utc > decision.utc)) this.byKey.set(key, decision);
    for (const { tube, cell } of this.decided()) {
      const decision = this.get(tube, cell);
      if (!decision.old && decision.basis !== basisOf(tube, cell, this.byKey) && decision.rests === restsOn(tube, cell, this.byKey))
        decision.rests = "changed";
    }
  }
}

export function utcNow() {
  return new Date().toISOString().replace(/\.\d+Z$/, "Z");
}
