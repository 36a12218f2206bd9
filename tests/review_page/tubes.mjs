// A tube small enough to be counted by head: 8 CD4 cells on two axes of 512 steps from 0 to 1.

import { prepare } from "../../resources/review/study.mjs";

const AXES = ["CD3", "CD25", "FOXP3"].map((channel) => ({
  channel, marker: channel, label: channel, matrix: "tube", kind: "logicle", low: 0, high: 1, ticks: [],
}));

export function threshold(channel, low) {
  return { dimensions: [{ channel, matrix: "tube", transform: { kind: "logicle" } }], high: [null], low: [low], type: "rectangle" };
}

const GATES = [
  { population: "T cells", parent: "root", gate: threshold("CD3", 0.5), events: 8 },
  { population: "CD25+", parent: "T cells", gate: threshold("CD25", 0.5), events: 4 },
  { population: "FOXP3+", parent: "T cells", gate: threshold("FOXP3", 0.5), events: 4 },
  { population: "Treg", parent: "T cells", gate: { type: "boolean", operator: "and", operands: [["CD25+", false], ["FOXP3+", false]] }, events: 3 },
];

// CD3, CD25, FOXP3 in levels of 256; the last two are not T cells.
export const EVENTS = [
  [200, 200, 200], [200, 210, 220], [200, 220, 210], [200, 230, 20], [200, 100, 200], [200, 30, 40], [200, 40, 30], [200, 20, 20],
  [100, 200, 200], [20, 20, 20],
];

/** The study of some such tubes. */
export function studyOf(ids, changes = {}) {
  const tube = (id) => ({
    id, panel: "treg", batch: "B1", role: "sample", template: "treg:1.0.0", sha256: "ab".repeat(32), strategy: 0,
    root: EVENTS.length, flags: [], doubt: { score: 0, reasons: [] }, conditions: ["T cells", "CD25+", "FOXP3+"], sampled: [0, 1, 2], subject: "S1", visit: "W0", lines: [], missing: [],
    gates: GATES.map(({ gate, ...rest }) => ({ ...rest, text: JSON.stringify(gate), origin: "template", confidence: null, flags: [] })),
    cells: [
      { population: "T cells", edits: ["T cells"], bins: 128, x: 0, y: 1, score: 0.1, reasons: [], borrowed: false, controls: [] },
      { population: "Treg", edits: ["CD25+", "FOXP3+"], bins: 256, x: 1, y: 2, score: 0.9, reasons: [], borrowed: false, controls: [] },
    ],
    ...changes[id],
  });
  return prepare({
    study: "TEST", run: "results", templates: ["treg:1.0.0"], blinded: false, doubtful: 0.5, base: "0".repeat(64), saved: [],
    reasons: { AGREE: "yes", TOO_LOW: "too low", OTHER: "other" }, axes: AXES, controls: [],
    strategies: [Object.fromEntries(GATES.map(({ population }) => [population, `entry of ${population}`]))],
    tubes: ids.map(tube),
  });
}

function sparse(values) {
  const counts = new Map();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const places = [...counts.keys()].sort((a, b) => a - b);
  return { places, counts: places.map((place) => counts.get(place)) };
}

/** Pictures of both cells, as complete as the pipeline makes them. */
export function picturesOf() {
  const within = EVENTS.filter(([cd3]) => cd3 >= 128);
  const cells = [
    { plane: sparse(EVENTS.map(([a, b]) => (a >> 1) * 128 + (b >> 1))), x: sparse(EVENTS.map(([a]) => 2 * a)), y: sparse(EVENTS.map(([, b]) => 2 * b)) },
    { plane: sparse(within.map(([, b, c]) => b * 256 + c)), x: sparse(within.map(([, b]) => 2 * b)), y: sparse(within.map(([, , c]) => 2 * c)) },
  ];
  return { cells, lines: [] };
}

/** The whole tube as its sample, grouped by which gates an event passes. */
export function sampleOf() {
  const pattern = (event) => event.reduce((bits, level, bit) => bits + (level >= 128 ? 2 ** bit : 0), 0);
  const sorted = [...EVENTS].sort((a, b) => pattern(a) - pattern(b));
  const groups = [...new Set(sorted.map(pattern))].map((p) => {
    const n = sorted.filter((event) => pattern(event) === p).length;
    return { pattern: p, total: n, kept: n };
  });
  return { groups, n: sorted.length, levels: [0, 1, 2].map((axis) => Uint8Array.from(sorted, (event) => event[axis])) };
}
