import assert from "node:assert/strict";
import { test } from "node:test";
import { Decisions } from "../../resources/review/decisions.mjs";
import { chained, COLUMNS, decisionsOf, HEADER, nameProblem, newest, readRows, reasonProblem, rowsToAdd } from "../../resources/review/overrides.mjs";
import { studyOf, threshold } from "./tubes.mjs";

const people = { made_by: "Ada", reviewed_by: "", utc: "2026-01-02T00:00:00Z" };
const adjust = (gates) => ({ status: "adjust", gates, code: "TOO_LOW", text: "cuts the negatives", by: "Ada" });
const accept = { status: "accept", gates: {}, code: "AGREE", text: "", by: "Ada" };

function desk({ study = studyOf(["T1", "T2"]), store = memory() } = {}) {
  let clock = 0;
  const decisions = new Decisions(study, { store, now: () => `2026-01-01T00:00:${String(clock++).padStart(2, "0")}Z` });
  const [tube] = study.tubes;
  const [cells, treg] = tube.cells;
  return { study, store, decisions, tube, cells, treg };
}

function memory() {
  const kept = new Map();
  return { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), kept };
}

test("a moved corner becomes a row for each threshold that moved, and for no other", () => {
  const { study, decisions, tube, treg } = desk();
  decisions.set(tube, treg, adjust({ "CD25+": threshold("CD25", 0.75) }));
  const rows = rowsToAdd(study, decisions.byKey, new Map(), people);
  assert.deepEqual(rows.map((row) => [row.population, row.action]), [["CD25+", "move"]]);
  assert.equal(JSON.parse(rows[0].new_gate).low[0], 0.75);
  assert.equal(rows[0].template, "treg:1.0.0");
});

test("approving and rejecting name the population that the picture is of", () => {
  const { study, decisions, tube, cells, treg } = desk();
  decisions.set(tube, cells, accept);
  decisions.set(tube, treg, { status: "exclude", gates: {}, code: "OTHER", text: "tube was mixed up", by: "Ada" });
  const rows = rowsToAdd(study, decisions.byKey, new Map(), people);
  assert.deepEqual(rows.map((row) => [row.population, row.action, row.reason_code]), [["T cells", "accept", "AGREE"], ["Treg", "exclude", "OTHER"]]);
});

test("a decision is to be looked at again when a gate above it moves, and stands when that is undone", () => {
  const { decisions, tube, cells, treg } = desk();
  decisions.set(tube, treg, accept);
  decisions.set(tube, cells, adjust({ "T cells": threshold("CD3", 0.25) }));
  assert.equal(decisions.state(tube, treg), "stale");
  assert.match(decisions.problem(tube, treg), /look again/);
  decisions.undo();
  assert.equal(decisions.state(tube, treg), "accept");
});

test("undo takes decisions back one by one, down to none", () => {
  const { decisions, tube, cells } = desk();
  decisions.set(tube, cells, accept);
  decisions.set(tube, cells, null);
  decisions.undo();
  assert.equal(decisions.state(tube, cells), "accept");
  decisions.undo();
  assert.equal(decisions.state(tube, cells), "");
  assert.equal(decisions.undo(), null);
});

test("work in progress is there after a reload, and what was placed anew meanwhile is to be looked at again", () => {
  const { decisions, tube, cells, treg, store } = desk();
  decisions.set(tube, cells, accept);
  decisions.set(tube, treg, adjust({ "CD25+": threshold("CD25", 0.75) }));
  decisions.save();
  const again = desk({ store });
  again.decisions.load();
  assert.equal(again.decisions.state(again.tube, again.treg), "adjust");
  const changed = desk({ store, study: studyOf(["T1", "T2"], { T1: { sha256: "cd".repeat(32) } }) });
  changed.decisions.load();
  assert.equal(changed.decisions.state(changed.tube, changed.treg), "stale");
});

test("another study or another template does not see the work", () => {
  const { decisions, tube, cells, store } = desk();
  decisions.set(tube, cells, accept);
  decisions.save();
  const other = desk({ store, study: { ...studyOf(["T1", "T2"]), templates: ["treg:2.0.0"] } });
  other.decisions.load();
  assert.equal(other.decisions.state(other.tube, other.cells), "");
});

test("a flagged tube is reviewed when each of its flagged gates is decided", () => {
  const { decisions, tube, cells, treg } = desk(); // only the Treg cell is doubtful (0.9)
  assert.deepEqual(decisions.progress(), { flagged: 2, reviewed: 0 });
  decisions.set(tube, cells, accept);
  assert.equal(decisions.progress().reviewed, 0);
  decisions.set(tube, treg, accept);
  assert.equal(decisions.progress().reviewed, 1);
});

test("exporting again repeats the rows word for word and adds only what is new", () => {
  const { study, decisions, tube, cells, treg } = desk();
  decisions.set(tube, treg, adjust({ "CD25+": threshold("CD25", 0.75) }));
  const first = chained(rowsToAdd(study, decisions.byKey, new Map(), people), study.base);
  const before = newest(readRows([HEADER, ...first].join("\n")).rows);
  assert.deepEqual(rowsToAdd(study, decisions.byKey, before, people), []);
  decisions.set(tube, cells, accept);
  assert.deepEqual(rowsToAdd(study, decisions.byKey, before, people).map((row) => row.population), ["T cells"]);
});

test("a gate put back to its automatic place after an export gets a row that says so", () => {
  const { study, decisions, tube, treg } = desk();
  decisions.set(tube, treg, adjust({ "CD25+": threshold("CD25", 0.75) }));
  const before = newest(readRows([HEADER, ...chained(rowsToAdd(study, decisions.byKey, new Map(), people), study.base)].join("\n")).rows);
  decisions.set(tube, treg, null);
  const rows = rowsToAdd(study, decisions.byKey, before, people);
  assert.deepEqual(rows.map((row) => [row.population, row.action, row.new_gate]), [["CD25+", "accept", ""]]);
});

test("what was exported is read back as the decisions it came from", () => {
  const { study, decisions, tube, cells, treg } = desk();
  decisions.set(tube, cells, adjust({ "T cells": threshold("CD3", 0.25) }));
  decisions.set(tube, treg, adjust({ "CD25+": threshold("CD25", 0.75), "FOXP3+": threshold("FOXP3", 0.7) }));
  const lines = chained(rowsToAdd(study, decisions.byKey, new Map(), people), study.base);
  const { rows, problems } = readRows(`${[HEADER, ...lines].join("\r\n")}\r\n`);
  assert.deepEqual(problems, []);
  const found = decisionsOf(study, rows);
  assert.deepEqual(found.problems, []);
  assert.deepEqual([...found.decisions.keys()], [...decisions.byKey.keys()]);
  assert.deepEqual(found.decisions.get("T1\tTreg").gates, decisions.get(tube, treg).gates);
});

test("a row of another tube's file, or of a gate that has moved since, makes no decision and is told", () => {
  const { study, decisions, tube, treg } = desk();
  decisions.set(tube, treg, adjust({ "CD25+": threshold("CD25", 0.75) }));
  const rows = readRows([HEADER, ...chained(rowsToAdd(study, decisions.byKey, new Map(), people), study.base)].join("\n")).rows;
  const changed = decisionsOf(studyOf(["T1"], { T1: { sha256: "cd".repeat(32) } }), rows);
  assert.equal(changed.decisions.size, 0);
  assert.match(changed.problems[0], /T1, CD25\+: what the row rests on has changed/);
  assert.match(decisionsOf(studyOf(["T2"]), rows).problems[0], /T1, CD25\+: is not on this page/);
});

test("a stale row of the overrides file is shown as one to look at again, and holds up no export", () => {
  const { study, decisions, tube, treg } = desk();
  decisions.set(tube, treg, adjust({ "CD25+": threshold("CD25", 0.75) }));
  const rows = readRows([HEADER, ...chained(rowsToAdd(study, decisions.byKey, new Map(), people), study.base)].join("\n")).rows;
  const later = desk({ study: studyOf(["T1", "T2"], { T1: { sha256: "cd".repeat(32) } }) });
  const found = decisionsOf(later.study, rows);
  later.decisions.adopt(found.decisions, found.stale);
  assert.equal(later.decisions.state(later.tube, later.treg), "stale");
  assert.deepEqual(later.decisions.unfinished(), []);
  assert.deepEqual(rowsToAdd(later.study, later.decisions.byKey, newest(rows), people), []);
  later.decisions.set(later.tube, later.treg, accept);
  const again = rowsToAdd(later.study, later.decisions.byKey, newest(rows), people);
  assert.deepEqual(again.map((row) => [row.population, row.action]), [["Treg", "accept"], ["CD25+", "accept"]]);
});

test("a row that was changed by hand breaks the chain", () => {
  const { study, decisions, tube, cells, treg } = desk();
  decisions.set(tube, cells, accept);
  decisions.set(tube, treg, accept);
  const [one, two] = chained(rowsToAdd(study, decisions.byKey, new Map(), people), study.base);
  const { problems } = readRows([HEADER, one.replace("Ada", "Eve"), two].join("\n"));
  assert.deepEqual(problems, ["line 3: the chain is broken; a row was changed, removed or slipped in"]);
  assert.equal(one.split("\t").length, COLUMNS.length);
});

test("a moved or rejected gate needs a reason from the list and ten characters of text", () => {
  assert.equal(reasonProblem("adjust", "TOO_LOW", "cuts negatives"), "");
  assert.match(reasonProblem("adjust", "", "cuts negatives"), /Choose/);
  assert.match(reasonProblem("exclude", "TOO_LOW", "too low  "), /3 more/);
  assert.match(reasonProblem("adjust", "TOO_LOW", "=HYPERLINK(1)"), /formula/);
  assert.match(reasonProblem("adjust", "TOO_LOW", "one\ttwo three"), /cannot be seen/);
  assert.equal(reasonProblem("accept", "AGREE", ""), "");
});

test("a person has a name that no spreadsheet runs", () => {
  assert.equal(nameProblem("Ada Lovelace"), "");
  for (const name of ["", "  ", "=Ada", " Ada", "A\tda", "A".repeat(65)]) assert.notEqual(nameProblem(name), "");
});
