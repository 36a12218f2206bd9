// The study as the page's other modules use it: tables unfolded, gates parsed.

/** Unfold what was written once for many tubes. */
export function prepare(plain) {
  const tubes = plain.tubes.map((tube, index) => prepareTube(plain, tube, index));
  return { ...plain, tubes };
}

function prepareTube(plain, tube, index) {
  const entries = plain.strategies[tube.strategy];
  const gates = tube.gates.map((gate) => {
    const automatic = JSON.parse(gate.text);
    return { ...gate, automatic, applied: gate.applied ? JSON.parse(gate.applied) : automatic, entry: entries[gate.population] };
  });
  const byName = new Map(gates.map((gate) => [gate.population, gate]));
  const cells = tube.cells.map((cell) => {
    const gate = byName.get(cell.population);
    const [x, y] = [plain.axes[cell.x], plain.axes[cell.y]];
    return { ...cell, x, y, parent: gate.parent, gate, flagged: cell.score >= plain.doubtful || gate.flags.length > 0 };
  });
  const lines = tube.lines.map((line) => ({ ...line, x: plain.axes[line.x] }));
  const score = cells.reduce((most, cell) => Math.max(most, cell.score), tube.doubt.score);
  const faults = [...new Set([...tube.flags, ...tube.doubt.reasons])];
  const codes = [...faults, ...gates.flatMap((gate) => gate.flags)].map((flag) => flag.split(":")[0]);
  const allFlags = [...new Set(codes)].sort();
  const flagged = tube.flags.length + tube.missing.length > 0 || tube.doubt.score >= plain.doubtful || cells.some((cell) => cell.flagged);
  const axes = tube.sampled.map((place) => plain.axes[place]);
  return { ...tube, index, gates, byName, cells, lines, score, faults, allFlags, flagged, axes };
}

/** The gates of a tube as they are now: automatic, or where decisions have put them. */
export function gatesNow(tube, decisions) {
  const gates = new Map(
    tube.gates.filter((gate) => gate.automatic.type !== "boolean").map((gate) => [gate.population, gate.automatic]),
  );
  for (const cell of tube.cells)
    for (const [population, gate] of Object.entries(decisions.get(tube, cell)?.gates ?? {})) gates.set(population, gate);
  return gates;
}

/** A percentage as it is told: three digits, at most two decimals. */
export function percentText(percent) {
  if (percent === null || !Number.isFinite(percent)) return "–";
  return `${percent >= 99.95 ? percent.toFixed(1) : percent >= 10 ? percent.toFixed(1) : percent.toFixed(2)} %`;
}

/** A percentage with its margin, where that is wider than what the page promises. */
export function withMargin(percent, margin) {
  if (percent === null || margin <= Math.max(0.1, 0.01 * percent)) return percentText(percent);
  return `${percentText(percent).replace(" %", "")} ± ${margin >= 10 ? margin.toFixed(0) : margin.toFixed(1)} %`;
}

export function percentOf(events, parentEvents) {
  return events === null || parentEvents === null || !parentEvents ? null : (100 * events) / parentEvents;
}

/** The most recently used values, so many at most. */
export class Recent {
  constructor(most) {
    this.most = most;
    this.values = new Map();
  }

  get(key, make) {
    const value = this.values.has(key) ? this.values.get(key) : make();
    this.values.delete(key);
    this.values.set(key, value);
    if (this.values.size > this.most) this.values.delete(this.values.keys().next().value);
    return value;
  }

  forget(key) {
    this.values.delete(key);
  }
}

/** A tube's pictures and sample, unpacked when first asked for and kept for the tubes last looked at. */
export class Shelf {
  constructor(unpack) {
    this.unpack = unpack;
    this.pictures = new Recent(80);
    this.samples = new Recent(12);
    this.curves = new Recent(40);
  }

  picturesOf(tube) {
    return this.pictures.get(tube.index, () => this.unpack.pictures(tube));
  }

  curvesOf(control) {
    return this.curves.get(control, () => this.unpack.curves(control));
  }

  sampleOf(tube) {
    return this.samples.get(tube.index, () => this.unpack.sample(tube));
  }
}
