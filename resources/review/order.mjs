// Which tubes are shown, and in which order.

/** Tubes that pass every filter, in the order asked for. `state(tube, cell)` tells what was decided. */
export function chosen(tubes, filter, state) {
  const kept = tubes.filter((tube) => passes(tube, filter, state));
  return kept.sort(ORDERS[filter.sort] ?? ORDERS.worst);
}

const ORDERS = {
  worst: (a, b) => b.score - a.score || compare(a.id, b.id),
  tube: (a, b) => compare(a.id, b.id),
  subject: (a, b) => compare(a.subject ?? "", b.subject ?? "") || compare(a.visitOrder ?? 0, b.visitOrder ?? 0) || compare(a.id, b.id),
  batch: (a, b) => compare(a.batch, b.batch) || b.score - a.score || compare(a.id, b.id),
};

function compare(a, b) {
  return a < b ? -1 : a > b ? 1 : 0;
}

function passes(tube, filter, state) {
  const fits = ["panel", "batch", "visit", "subject"].every((key) => !filter[key] || tube[key] === filter[key]);
  if (!fits || !ROLES[filter.role || "sample"](tube)) return false;
  if (filter.flag && !tube.allFlags.includes(filter.flag)) return false;
  const words = (filter.words ?? "").trim().toLowerCase();
  if (words && ![tube.id, tube.subject ?? ""].some((text) => text.toLowerCase().includes(words))) return false;
  return STATES[filter.state || "all"](tube, tube.cells.map((cell) => state(tube, cell)));
}

const ROLES = {
  sample: (tube) => tube.role === "sample",
  control: (tube) => tube.role !== "sample",
  all: () => true,
};

export const STATES = {
  all: () => true,
  flagged: (tube) => tube.flagged,
  open: (tube, states) => tube.flagged && !reviewedBy(tube, states),
  todo: (tube, states) => !states.some(Boolean),
  reviewed: (tube, states) => states.some(Boolean),
  accept: (tube, states) => states.includes("accept"),
  adjust: (tube, states) => states.includes("adjust"),
  exclude: (tube, states) => states.includes("exclude"),
  stale: (tube, states) => states.includes("stale"),
};

function reviewedBy(tube, states) {
  const decided = (state) => state && state !== "stale";
  const flagged = states.filter((_, place) => tube.cells[place].flagged);
  return flagged.length ? flagged.every(decided) : states.some(decided);
}

/** The cell to show first of a tube: the most doubtful one. */
export function worstCell(tube) {
  return tube.cells.reduce((worst, cell, place) => (cell.score > tube.cells[worst].score ? place : worst), 0);
}
