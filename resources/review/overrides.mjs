// Rows of the overrides file: made from decisions, chained, read back. The same rules as the command line's.

import { gateText, sameGate } from "./gates.mjs";
import { upstream } from "./estimate.mjs";
import { sha256 } from "./sha256.mjs";

export const COLUMNS = [
  "override_id", "utc", "made_by", "reviewed_by", "reviewed_utc", "sample_id", "population", "action",
  "old_gate", "new_gate", "old_sha", "new_sha", "reason_code", "reason_text", "blinded_to_arm", "template",
  "prev_row_sha256",
];
export const HEADER = COLUMNS.join("\t");
export const SHORTEST_REASON = 10;
export const LONGEST_REASON = 200;
const UNSEEN = /[\p{C}]/u;
const FORMULA = /^[=+\-@＝＋－＠]/u;

/** What is wrong with a reason, in words; empty if nothing is. */
export function reasonProblem(status, code, text) {
  if (UNSEEN.test(text)) return "The text holds characters that cannot be seen.";
  if (FORMULA.test(text)) return "The text begins as a formula of a spreadsheet does; begin with a letter.";
  if (text.length > LONGEST_REASON) return `The text has ${text.length} characters; at most ${LONGEST_REASON} are allowed.`;
  if (status === "accept") return "";
  if (!code || code === "AGREE") return "Choose a reason.";
  const missing = SHORTEST_REASON - text.trim().length;
  return missing > 0 ? `Say why in at least ${SHORTEST_REASON} characters (${missing} more).` : "";
}

/** What is wrong with the name of a person; empty if nothing is. */
export function nameProblem(name) {
  if (!name.trim()) return "is empty";
  const bad = name !== name.trim() || name.length > 64 || FORMULA.test(name) || UNSEEN.test(name);
  return bad ? "is not a name: at most 64 characters, no blanks around it, no =, +, - or @ first" : "";
}

/** The gates of a tube that a decision has put elsewhere: population → text. */
export function textsByHand(tube, decisions) {
  const texts = new Map();
  for (const cell of tube.cells)
    for (const [population, gate] of Object.entries(decisions.get(keyOf(tube, cell))?.gates ?? {}))
      texts.set(population, gateText(gate));
  return texts;
}

export function keyOf(tube, cell) {
  return `${tube.id}\t${cell.population}`;
}

/** The digest of an automatic gate and of what it rests on (see the overrides' documentation). */
export function basisDigest(tube, population, texts) {
  const byName = new Map(tube.gates.map((gate) => [gate.population, gate]));
  const above = upstream(tube, population);
  const lines = [`file ${tube.sha256}`];
  for (const name of [...above, population]) lines.push(`entry ${name} ${byName.get(name).entry}`);
  for (const name of above) lines.push(`gate ${name} ${texts.get(name) ?? byName.get(name).text}`);
  lines.push(`gate ${population} ${byName.get(population).text}`);
  return sha256(lines.join("\n"));
}

/** The gates by hand above a cell, as text: while this stays the same, so does what a decision rests on. */
export function restsOn(tube, cell, decisions) {
  const texts = textsByHand(tube, decisions);
  if (!texts.size) return "";
  const own = namesOf(cell);
  const above = new Set(own.flatMap((name) => upstream(tube, name)));
  return JSON.stringify([...texts].filter(([name]) => above.has(name) && !cell.edits.includes(name)));
}

/** The populations that a cell's rows are about. */
export function namesOf(cell) {
  return [...new Set([cell.population, ...cell.edits])];
}

/** The digests of all that a decision on a cell rests on. */
export function basisOf(tube, cell, decisions) {
  const texts = textsByHand(tube, decisions);
  return namesOf(cell).map((name) => basisDigest(tube, name, texts)).join(" ");
}

/**
 * The rows that decisions ask for and that are not there yet, in the order the decisions were made.
 *
 * `last` is "sample_id\tpopulation" → the newest row so far. A gate that is back where the automatic gating
 * had it, and was moved by an earlier row, gets a row that accepts the automatic gate.
 */
export function rowsToAdd(study, decisions, last, people) {
  const rows = [];
  for (const tube of study.tubes)
    for (const cell of tube.cells) {
      const decision = decisions.get(keyOf(tube, cell));
      for (const row of wanted(tube, cell, decision))
        rows.push({ ...row, made_by: decision?.by ?? people.made_by });
    }
  rows.sort((a, b) => (a.utc < b.utc ? -1 : a.utc > b.utc ? 1 : 0));
  return rows.map((row) => ({
    ...row,
    reviewed_by: people.reviewed_by ?? "",
    reviewed_utc: people.reviewed_by ? people.utc : "",
    blinded_to_arm: study.blinded ? "Y" : "N",
  }));

  function wanted(tube, cell, decision) {
    const texts = textsByHand(tube, decisions);
    const found = namesOf(cell).map((name) => one(tube, cell, name, decision, texts, last.get(`${tube.id}\t${name}`)));
    return found.filter(Boolean);
  }

  function one(tube, cell, population, decision, texts, before) {
    const action = actionFor(cell, population, decision, before);
    if (!action) return null;
    const gate = tube.gates.find((entry) => entry.population === population);
    const newGate = action === "move" ? texts.get(population) : "";
    const row = {
      utc: decision?.utc ?? people.utc,
      sample_id: tube.id,
      population,
      action,
      old_gate: gate.text,
      new_gate: newGate,
      old_sha: basisDigest(tube, population, texts),
      new_sha: newGate && sha256(newGate),
      reason_code: reasonCode(action, decision),
      reason_text: decision?.text ?? "",
      template: tube.template,
    };
    const same = before && ["action", "new_gate", "old_sha", "reason_code", "reason_text"].every((c) => before[c] === row[c]);
    return same ? null : row;
  }
}

function actionFor(cell, population, decision, before) {
  if (decision?.old) return null;
  const undone = before && before.action !== "accept" ? "accept" : null;
  if (!decision) return undone;
  if (decision.status === "adjust") return population in decision.gates ? "move" : undone;
  return population === cell.population ? decision.status : undone;
}

function reasonCode(action, decision) {
  if (!decision) return "OTHER";
  return action === "accept" && decision.status === "accept" ? "AGREE" : decision.code;
}

/** Lines of the file, each with the digest of the one before. */
export function chained(rows, digest) {
  let before = digest;
  return rows.map((row) => {
    const id = sha256([row.utc, row.made_by, row.sample_id, row.population, row.action, row.new_gate, row.old_sha, before].join("\n"));
    const whole = { ...row, override_id: `R${id.slice(0, 12)}`, prev_row_sha256: before };
    const line = COLUMNS.map((column) => whole[column]).join("\t");
    before = sha256(line);
    return line;
  });
}

/**
 * The rows of a file's text and its problems, all of them.
 *
 * The first row may continue another file: an export of this page does.
 */
export function readRows(text) {
  const lines = text.replace(/^\uFEFF/, "").split("\n").map((line) => line.replace(/\r$/, ""));
  if (lines.at(-1) === "") lines.pop();
  if (lines[0] !== HEADER) return { rows: [], problems: ["line 1 is not the header of an overrides file"] };
  const problems = [];
  const rows = [];
  lines.slice(1).forEach((line, index) => {
    const cells = line.split("\t");
    if (cells.length !== COLUMNS.length) {
      problems.push(`line ${index + 2}: ${cells.length} cells, the header has ${COLUMNS.length}`);
      return;
    }
    const row = Object.fromEntries(COLUMNS.map((column, place) => [column, cells[place]]));
    if (index && row.prev_row_sha256 !== sha256(lines[index]))
      problems.push(`line ${index + 2}: the chain is broken; a row was changed, removed or slipped in`);
    rows.push(row);
  });
  return { rows, problems };
}

/** "sample_id\tpopulation" → the newest row. */
export function newest(rows) {
  return new Map(rows.map((row) => [`${row.sample_id}\t${row.population}`, row]));
}

/**
 * The decisions that rows stand for, and what became of rows that stand for none.
 *
 * A row whose file, template entry, automatic gate or gate above has changed is stale: it makes no decision, but
 * is told with what it had decided.
 */
export function decisionsOf(study, rows) {
  const decisions = new Map();
  const stale = new Map();
  const problems = [];
  const tubes = new Map(study.tubes.map((tube) => [tube.id, tube]));
  const left = newest(rows);
  for (const row of left.values())
    if (!tubes.get(row.sample_id)?.gates.some((gate) => gate.population === row.population))
      problems.push(`tube ${row.sample_id}, ${row.population}: is not on this page`);
  for (const tube of tubes.values()) for (const cell of tube.cells) decide(tube, cell);
  return { decisions, stale, problems };

  function decide(tube, cell) {
    const found = namesOf(cell).map((name) => left.get(`${tube.id}\t${name}`)).filter(Boolean);
    const texts = textsByHand(tube, decisions);
    const standing = found.filter((row) => {
      const stands = row.old_sha === basisDigest(tube, row.population, texts);
      if (!stands) problems.push(`tube ${row.sample_id}, ${row.population}: what the row rests on has changed; look at the gate again`);
      return stands;
    });
    const decision = decisionFrom(cell, standing, tube);
    if (decision) decisions.set(keyOf(tube, cell), decision);
    else if (found.length) stale.set(keyOf(tube, cell), { ...decisionFrom(cell, found, tube), gates: {} });
  }
}

function decisionFrom(cell, rows, tube) {
  const placed = rows.filter((row) => row.action === "move" || row.action === "replace");
  const own = rows.find((row) => row.population === cell.population && !placed.includes(row));
  const chosen = placed.length ? placed.at(-1) : own;
  if (!chosen) return null;
  const gates = {};
  for (const row of placed) {
    const gate = JSON.parse(row.new_gate);
    if (!sameGate(gate, tube.gates.find((entry) => entry.population === row.population).automatic)) gates[row.population] = gate;
  }
  const status = placed.length ? "adjust" : chosen.action;
  const code = chosen.reason_code === "AGREE" ? "" : chosen.reason_code;
  return { status, gates, code, text: chosen.reason_text, utc: chosen.utc, by: chosen.made_by };
}
