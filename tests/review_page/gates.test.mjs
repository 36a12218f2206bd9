import assert from "node:assert/strict";
import { test } from "node:test";
import { columnOf, contains, gateText, handlesOf, moved, snap, touched } from "../../resources/review/gates.mjs";

const logicle = (channel) => ({ channel, matrix: "tube", transform: { kind: "logicle" } });
const axis = (channel, low = 0, high = 1) => ({ channel, matrix: "tube", kind: "logicle", low, high });
const threshold = (channel, low) => ({ dimensions: [logicle(channel)], high: [null], low: [low], type: "rectangle" });
const corner = { population: "CD25+FOXP3+", parent: "CD4+", edits: ["CD25+", "FOXP3+"], x: axis("PE-A"), y: axis("APC-A") };
const atCorner = new Map([["CD25+", threshold("PE-A", 0.5)], ["FOXP3+", threshold("APC-A", 0.25)]]);
const reach = { x: 0.02, y: 0.02 };
const square = { type: "polygon", dimensions: [logicle("a"), logicle("b")], vertices: [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]] };
const area = { population: "cells", parent: "root", edits: ["cells"], x: axis("a"), y: axis("b") };

test("a corner is taken hold of where its two lines cross, and each line by itself elsewhere", () => {
  const taken = (x, y) => touched(corner, atCorner, x, y, reach).map((handle) => handle.population);
  assert.deepEqual(taken(0.51, 0.26), ["CD25+", "FOXP3+"]);
  assert.deepEqual(taken(0.51, 0.9), ["CD25+"]);
  assert.deepEqual(taken(0.9, 0.24), ["FOXP3+"]);
  assert.deepEqual(taken(0.9, 0.9), []);
});

test("dragging a corner moves both thresholds and leaves the gates that were there before as they were", () => {
  const after = moved(corner, atCorner, touched(corner, atCorner, 0.5, 0.25, reach), 0.125, -0.125);
  assert.equal(after.get("CD25+").low[0], 0.625);
  assert.equal(after.get("FOXP3+").low[0], 0.125);
  assert.equal(atCorner.get("CD25+").low[0], 0.5);
});

test("a threshold stops on a step of its axis, of which there are 512, and at the axis' ends", () => {
  assert.equal(snap(axis("a"), 0.3), 154 / 512); // 0.3 × 512 = 153.6
  assert.equal(snap(axis("a"), 7), 1);
  assert.equal(snap(axis("FSC-A", 0, 262144), 35_000), 34_816); // 68 steps of 512
});

test("the lower limit of a band cannot be dragged past its upper one", () => {
  const band = { dimensions: [logicle("a")], low: [0.25], high: [0.5], type: "rectangle" };
  const cell = { population: "band", parent: "root", edits: ["band"], x: axis("a"), y: axis("b") };
  const [low] = handlesOf(cell, new Map([["band", band]]));
  assert.equal(low.limit, "low");
  assert.deepEqual(moved(cell, new Map([["band", band]]), [low], 0.5, 0).get("band"), band);
});

test("a polygon is moved by a vertex or, held inside, as a whole", () => {
  const gates = new Map([["cells", square]]);
  const vertex = touched(area, gates, 0.26, 0.25, reach);
  assert.deepEqual(moved(area, gates, vertex, -0.125, 0).get("cells").vertices[0], [0.125, 0.25]);
  const whole = touched(area, gates, 0.5, 0.5, reach);
  assert.deepEqual(moved(area, gates, whole, 0.125, 0.125).get("cells").vertices[2], [0.875, 0.875]);
  assert.deepEqual(touched(area, gates, 0.9, 0.9, reach), []);
});

test("a polygon that crosses itself holds what an odd number of its edges lies beside", () => {
  const bow = { ...square, vertices: [[0, 0], [1, 1], [1, 0], [0, 1]] };
  assert.deepEqual(columnOf(bow, 0.25), [[0.25, 0.75]]);
  assert.equal(contains(bow, 0.25, 0.5), true);
  assert.equal(contains(bow, 0.5, 0.9), false);
});

test("an ellipse holds the events whose Mahalanobis distance is within its limit", () => {
  const ellipse = { type: "ellipsoid", dimensions: square.dimensions, mean: [0.5, 0.5], covariance: [[0.01, 0], [0, 0.04]], distance_square: 1 };
  assert.deepEqual(columnOf(ellipse, 0.5).flat().map((y) => Number(y.toFixed(9))), [0.3, 0.7]);
  assert.deepEqual(columnOf(ellipse, 0.61), []);
});

test("a moved gate is written with the keys of the automatic one, in their order", () => {
  const text = '{"dimensions":[{"channel":"PE-A","matrix":"tube","transform":{"kind":"logicle"}}],"high":[null],"low":[0.5],"type":"rectangle"}';
  const gates = new Map([["CD25+", JSON.parse(text)], ["FOXP3+", threshold("APC-A", 0.25)]]);
  const after = moved(corner, gates, touched(corner, gates, 0.5, 0.9, reach), 0.25, 0).get("CD25+");
  assert.equal(gateText(after), text.replace("0.5", "0.75"));
});
