import assert from "node:assert/strict";
import { test } from "node:test";
import { chosen, worstCell } from "../../resources/review/order.mjs";
import { percentText, Recent } from "../../resources/review/study.mjs";
import { studyOf } from "./tubes.mjs";

const cell = (population, score, flagged = false) => ({ population, score, flagged });
const tube = (id, more = {}) => ({
  id, panel: "treg", batch: "B1", role: "sample", visit: "W0", subject: "S1", score: 0.1, flagged: false, allFlags: [],
  cells: [cell("CD4+", 0.1)], ...more,
});
const ids = (tubes, filter = {}, states = {}) => chosen(tubes, { role: "all", ...filter }, (t) => states[t.id] ?? "").map((t) => t.id);

test("the most doubtful tube comes first, and of equals the one whose name does", () => {
  assert.deepEqual(ids([tube("T3"), tube("T2", { score: 0.9 }), tube("T1")], { sort: "worst" }), ["T2", "T1", "T3"]);
});

test("subjects are in order of their visits' numbers, not of the visits' names", () => {
  const tubes = [tube("A", { visit: "W12", visitOrder: 3 }), tube("B", { visit: "W2", visitOrder: 2 }), tube("C", { subject: "S0", visitOrder: 9 })];
  assert.deepEqual(ids(tubes, { sort: "subject" }), ["C", "B", "A"]);
});

test("filters leave what fits all of them", () => {
  const tubes = [tube("T1", { batch: "B2" }), tube("T2", { batch: "B2", visit: "W4" }), tube("T3", { allFlags: ["FEW_EVENTS"], batch: "B2" }), tube("T4", { role: "fmo", batch: "B2" })];
  assert.deepEqual(ids(tubes, { batch: "B2", visit: "W0", role: "sample" }), ["T1", "T3"]);
  assert.deepEqual(ids(tubes, { flag: "FEW_EVENTS" }), ["T3"]);
  assert.deepEqual(ids(tubes, { role: "control" }), ["T4"]);
  assert.deepEqual(ids(tubes, { words: "t2" }), ["T2"]);
});

test("flagged tubes stay in the list of open ones until their flagged gate is decided", () => {
  const flagged = (id) => tube(id, { flagged: true, cells: [cell("CD4+", 0.9, true)] });
  const tubes = [flagged("T1"), flagged("T2"), flagged("T3"), tube("T4")];
  assert.deepEqual(ids(tubes, { state: "open" }, { T1: "accept", T2: "stale" }), ["T2", "T3"]);
  assert.deepEqual(ids(tubes, { state: "stale" }, { T2: "stale" }), ["T2"]);
});

test("a tube opens at its most doubtful gate", () => {
  assert.equal(worstCell(tube("T", { cells: [cell("a", 0.2), cell("b", 0.8), cell("c", 0.5)] })), 1);
});

test("percentages have three digits, and none is a dash", () => {
  assert.deepEqual([100, 98.61, 12.34, 1.386, 0.051, null].map(percentText), ["100.0 %", "98.6 %", "12.3 %", "1.39 %", "0.05 %", "–"]);
});

test("the least recently used is forgotten first", () => {
  const recent = new Recent(2);
  for (const key of ["a", "b", "a", "c"]) recent.get(key, () => key);
  assert.deepEqual([...recent.values.keys()], ["a", "c"]);
});

test("a tube with a fault of its own comes before one whose gate is only the farthest, and names it", () => {
  const { tubes } = studyOf(["T1", "T2"], { T2: { doubt: { score: 1, reasons: ["UNSTEADY:12.7%"] } } });
  assert.deepEqual(tubes.map((tube) => tube.score), [0.9, 1]);
  assert.deepEqual(tubes[1].faults, ["UNSTEADY:12.7%"]);
  assert.deepEqual(tubes[1].allFlags, ["UNSTEADY"]);
  assert.deepEqual(ids(tubes, { sort: "worst" }), ["T2", "T1"]);
});
