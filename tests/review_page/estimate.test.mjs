import assert from "node:assert/strict";
import { test } from "node:test";
import { countArea, countLine, Tally, upstream } from "../../resources/review/estimate.mjs";
import { gatesNow } from "../../resources/review/study.mjs";
import { picturesOf, sampleOf, studyOf, threshold } from "./tubes.mjs";

const [tube] = studyOf(["T1"]).tubes;
const nothing = { get: () => undefined };

function counted(moves, sample = sampleOf()) {
  const gates = gatesNow(tube, nothing);
  for (const [population, gate] of Object.entries(moves)) gates.set(population, gate);
  return Object.fromEntries(new Tally(tube, picturesOf(), sample).count(gates).events);
}

test("with every gate where it was, the counts are the engine's own", () => {
  assert.deepEqual(counted({}), { root: 10, "T cells": 8, "CD25+": 4, "FOXP3+": 4, Treg: 3 });
});

test("a moved threshold is counted, and so is what joins it", () => {
  // Levels 200, 210, 220, 230 of CD25; 0.84 of 256 is 215, so 220 and 230 stay; of these only 220 is FOXP3+.
  const after = counted({ "CD25+": threshold("CD25", 0.84) });
  assert.equal(after["CD25+"], 2);
  assert.equal(after.Treg, 1);
  assert.equal(after["FOXP3+"], 4);
});

test("a gate above lets in events that were left out, and the populations below follow", () => {
  // The event at level 100 of CD3 becomes a T cell; it is CD25+ and FOXP3+.
  const after = counted({ "T cells": threshold("CD3", 0.25) });
  assert.deepEqual(after, { root: 10, "T cells": 9, "CD25+": 5, "FOXP3+": 5, Treg: 4 });
});

test("a moved gate under a moved gate is counted among the events that are its parent's now", () => {
  const after = counted({ "T cells": threshold("CD3", 0.25), "CD25+": threshold("CD25", 0.84) });
  assert.equal(after["CD25+"], 2);
  assert.equal(after.Treg, 1);
});

test("without a sample the moved gate itself is told, and what lies below is not known rather than wrong", () => {
  const after = counted({ "T cells": threshold("CD3", 0.25) }, null);
  assert.equal(after["T cells"], 9);
  assert.equal(after.Treg, null);
});

test("an event of the sample stands for as many as its kind has", () => {
  const sample = sampleOf();
  for (const group of sample.groups) group.total = 3 * group.kept;
  const tripled = { ...tube, gates: tube.gates.map((gate) => ({ ...gate, events: 3 * gate.events })) };
  const tally = new Tally(tripled, picturesOf(), sample);
  const gates = gatesNow(tripled, nothing).set("T cells", threshold("CD3", 0.25));
  assert.equal(tally.count(gates).events.get("Treg"), 12);
});

test("a limit within a step takes its share of the events there, one between two steps takes none or all", () => {
  const counts = { places: [10, 11], counts: [100, 50] };
  const axis = { low: 0, high: 512 };
  assert.equal(countLine(counts, axis, 11, null), 50);
  assert.equal(countLine(counts, axis, 10.25, null), 125);
  assert.equal(countLine(counts, axis, null, 10.5), 50);
});

test("events beyond the end of an axis are counted with a gate that reaches past it", () => {
  assert.equal(countLine({ places: [0, 511], counts: [7, 9] }, { low: 0, high: 1 }, -3, 4), 16);
});

test("half of a bin that an area covers half counts half", () => {
  const cell = { bins: 256, x: { low: 0, high: 256 }, y: { low: 0, high: 256 } };
  const gate = { type: "polygon", vertices: [[0, 0], [10.5, 0], [10.5, 10], [0, 10]] };
  assert.equal(countArea({ places: [10 * 256 + 3, 9 * 256 + 3, 10 * 256 + 20], counts: [8, 8, 8] }, cell, gate), 12);
});

test("what an AND rests on includes the gates that it joins", () => {
  assert.deepEqual(upstream(tube, "Treg"), ["T cells", "CD25+", "FOXP3+"]);
});
