// The page: filters, keyboard, decisions, export and import.

import { blockText, unpackCurves, unpackPictures, unpackSample } from "./blocks.mjs";
import { Decisions, utcNow } from "./decisions.mjs";
import { Detail } from "./detail.mjs";
import { Tally } from "./estimate.mjs";
import { sameGate } from "./gates.mjs";
import { chosen, STATES, worstCell } from "./order.mjs";
import { chained, decisionsOf, HEADER, nameProblem, newest, readRows, rowsToAdd } from "./overrides.mjs";
import { sha256 } from "./sha256.mjs";
import { onKey } from "./keys.mjs";
import { element, Sheet, WORDS } from "./sheet.mjs";
import { gatesNow, prepare, Recent, Shelf } from "./study.mjs";
import { inflate } from "./unpack.mjs";

const FILTERS = ["sort", "role", "panel", "batch", "visit", "subject", "flag", "state"];

class Page {
  constructor(study, store) {
    Object.assign(this, { study, store, order: [], at: { row: 0, cell: 0 } });
    this.shelf = new Shelf({ pictures: unpackPictures, sample: unpackSample, curves: (control) => unpackCurves(study, control) });
    this.tallies = new Recent(12);
    this.decisions = new Decisions(study, { store });
    this.fillFilters();
    this.fillReasons();
    this.sheet = new Sheet(this, byId("scroller"), byId("pad"));
    this.detail = new Detail(this, partsOfDetail());
    this.listen();
  }

  /* what is shown */

  get tube() {
    return this.order[this.at.row];
  }

  get cell() {
    return this.tube?.cells[this.at.cell];
  }

  tally(tube) {
    return this.tallies.get(tube.index, async () => {
      const [pictures, sample] = await Promise.all([this.shelf.picturesOf(tube), this.shelf.sampleOf(tube)]);
      return new Tally(tube, pictures, sample);
    });
  }

  /** Events of a tube's populations as its gates are now. */
  async counts(tube) {
    const gates = gatesNow(tube, this.decisions);
    if ([...gates].every(([name, gate]) => sameGate(gate, tube.byName.get(name).applied)))
      return new Map([["root", tube.root], ...tube.gates.map((gate) => [gate.population, gate.events])]);
    return (await this.tally(tube)).count(gates).events;
  }

  arrange({ keep = true } = {}) {
    const before = keep ? this.tube : null;
    const population = this.cell?.population;
    const filter = Object.fromEntries([...FILTERS, "words"].map((name) => [name, byId(name).value]));
    this.order = chosen(this.study.tubes, filter, (tube, cell) => this.decisions.state(tube, cell));
    const row = Math.max(0, this.order.indexOf(before));
    const place = this.order[row]?.cells.findIndex((cell) => cell.population === population) ?? -1;
    this.at = { row, cell: before === this.order[row] && place >= 0 ? place : this.order[row] ? worstCell(this.order[row]) : 0 };
    this.sheet.reset();
    const absent = this.study.absent ? `; ${this.study.absent} more have no gate (see the report)` : "";
    byId("shown").textContent = `${this.order.length} of ${this.study.tubes.length} tubes${absent}`;
    byId("detail").hidden = !this.tube;
    byId("nothing").hidden = Boolean(this.tube);
    return this.open();
  }

  choose(row, cell) {
    const old = this.tube;
    const held = Math.max(0, Math.min(this.order.length - 1, row));
    const cells = this.order[held]?.cells.length ?? 0;
    this.at = { row: held, cell: Math.max(0, Math.min(cells - 1, cell)) };
    if (old) this.sheet.refresh(old);
    if (this.tube && this.tube !== old) this.sheet.refresh(this.tube);
    this.sheet.show(this.at.row);
    return this.open();
  }

  async open() {
    if (!this.tube) return;
    this.fillForm();
    await this.detail.open(this.tube, this.cell);
  }

  goTo(tube, population) {
    if (!this.order.includes(tube)) {
      for (const name of [...FILTERS.slice(1), "words"]) byId(name).value = name === "role" ? "all" : name === "state" ? "all" : "";
      this.arrange();
    }
    const cell = tube.cells.findIndex((entry) => entry.population === population);
    this.choose(this.order.indexOf(tube), Math.max(0, cell));
  }

  /** The next flagged gate without a decision, from here on and then from the top. */
  nextOpen() {
    const n = this.order.length;
    for (let step = 0; step <= n; step++) {
      const row = (this.at.row + step) % n;
      const tube = this.order[row];
      const open = tube.cells.findIndex((cell, k) =>
        (cell.flagged || (tube.flagged && k === worstCell(tube))) &&
        !["accept", "adjust", "exclude"].includes(this.decisions.state(tube, cell)) &&
        (step > 0 || k > this.at.cell),
      );
      if (open >= 0) return this.choose(row, open);
    }
    return this.say("Every flagged gate of the tubes shown is decided.");
  }

  /* decisions */

  decide(decision) {
    this.decisions.set(this.tube, this.cell, decision);
    this.afterDecision();
  }

  afterDecision() {
    if (!this.decisions.save()) this.say("This browser keeps nothing: export before you close the page.", true);
    this.sheet.refresh(this.tube);
    this.fillForm();
    this.fillProgress();
  }

  /** Gates after a drag or a nudge; back on the automatic place is no decision. */
  adjusted(gates) {
    const { tube, cell } = this;
    const moved = cell.edits.filter((name) => !sameGate(gates.get(name), tube.byName.get(name).automatic));
    const kept = this.decisions.get(tube, cell) ?? this.typed();
    const decision = { code: kept.code === "AGREE" ? "" : kept.code, text: kept.text, by: byId("made_by").value };
    const by = Object.fromEntries(moved.map((name) => [name, gates.get(name)]));
    this.decide(moved.length ? { ...decision, status: "adjust", gates: by } : null);
  }

  /** What stands in the form of the reason. */
  typed() {
    return { code: byId("code").value, text: byId("text").value };
  }

  approve() {
    const before = this.decisions.get(this.tube, this.cell);
    const by = byId("made_by").value;
    if (before?.status === "adjust") this.decide({ ...before, by });
    else this.decide({ status: "accept", gates: {}, code: "AGREE", text: "", by });
  }

  approveTube() {
    const { tube } = this;
    const by = byId("made_by").value;
    for (const cell of tube.cells)
      if (!this.decisions.state(tube, cell))
        this.decisions.set(tube, cell, { status: "accept", gates: {}, code: "AGREE", text: "", by });
    this.afterDecision();
  }

  reject() {
    const before = this.decisions.get(this.tube, this.cell);
    const { code, text } = before?.status === "adjust" ? before : this.typed();
    this.decide({ status: "exclude", gates: {}, code: code === "AGREE" ? "" : code, text, by: byId("made_by").value });
    this.open();
    if (this.decisions.problem(this.tube, this.cell)) byId("code").focus();
  }

  takeBack() {
    if (this.decisions.get(this.tube, this.cell)) this.decide(null);
    this.open();
  }

  undo() {
    const key = this.decisions.undo();
    if (!key) return this.say("Nothing to undo.");
    const [id, population] = key.split("\t");
    const tube = this.study.tubes.find((entry) => entry.id === id);
    this.sheet.refresh(tube);
    this.goTo(tube, population);
    return this.afterDecision();
  }

  /** The reason as it is typed becomes part of the decision that is there. */
  giveReason() {
    const before = this.decisions.get(this.tube, this.cell);
    if (before && before.status !== "accept")
      this.decisions.set(this.tube, this.cell, { ...before, ...this.typed(), by: byId("made_by").value }, { remember: false });
    this.decisions.save();
    this.fillProblem();
    this.fillProgress();
  }

  /* words on the page */

  fillFilters() {
    const { tubes } = this.study;
    const options = (name, values) => byId(name).append(...values.map((value) => new Option(value, value)));
    for (const name of ["panel", "batch"]) options(name, distinct(tubes.map((tube) => tube[name])));
    options("flag", distinct(tubes.flatMap((tube) => tube.allFlags)));
    for (const name of ["visit", "subject"]) {
      byId(name).closest("label").hidden = this.study.blinded;
      if (!this.study.blinded) options(name, distinct(tubes.map((tube) => tube[name]).filter(Boolean)));
    }
    if (this.study.blinded) byId("sort").querySelector("[value=subject]").remove();
    byId("blinded").hidden = !this.study.blinded;
    console.assert(Object.keys(STATES).length === byId("state").options.length, "a state without a filter");
  }

  fillReasons() {
    const codes = Object.entries(this.study.reasons).filter(([code]) => code !== "AGREE");
    byId("code").append(...codes.map(([code, words]) => new Option(words, code)));
  }

  fillForm() {
    const decision = this.decisions.get(this.tube, this.cell);
    const state = this.decisions.state(this.tube, this.cell);
    byId("code").value = decision && decision.code !== "AGREE" ? decision.code : "";
    byId("text").value = decision?.text ?? "";
    byId("decision").textContent = state ? WORDS[state] : "not decided";
    byId("decision").className = `decision ${state}`;
    byId("approve").firstChild.textContent = decision?.status === "adjust" ? "Keep as adjusted " : "Approve ";
    this.fillProblem();
  }

  fillProblem() {
    byId("problem").textContent = this.decisions.problem(this.tube, this.cell);
  }

  fillProgress() {
    const { flagged, reviewed } = this.decisions.progress();
    const unfinished = this.decisions.unfinished().length;
    const parts = [`flagged reviewed ${reviewed} of ${flagged}`, `gates decided: ${this.decisions.decided().length}`];
    if (unfinished) parts.push(`${unfinished} not complete`);
    byId("progress").textContent = parts.join(" · ");
    byId("bar").value = flagged ? reviewed / flagged : 0;
  }

  say(text, bad = false) {
    byId("message").textContent = text;
    byId("message").classList.toggle("bad", bad);
  }

  /* export and import */

  exportRows() {
    const made = byId("made_by").value;
    const reviewed = byId("reviewed_by").value;
    if (nameProblem(made)) return this.refuse(`Your name ${nameProblem(made)}.`, "made_by");
    if (reviewed && nameProblem(reviewed)) return this.refuse(`The second reader's name ${nameProblem(reviewed)}.`, "reviewed_by");
    if (reviewed && reviewed.toLowerCase() === made.toLowerCase())
      return this.refuse("The second reader is another person than the first.", "reviewed_by");
    const [first] = this.decisions.unfinished();
    if (first) {
      this.goTo(first.tube, first.cell.population);
      const n = this.decisions.unfinished().length;
      return this.refuse(`Not exported: ${n} decision${n > 1 ? "s are" : " is"} not complete. ${this.decisions.problem(first.tube, first.cell)}`, "code");
    }
    return this.write(made, reviewed);
  }

  write(made, reviewed) {
    const { decisions, study } = this;
    for (const { tube, cell } of decisions.decided()) decisions.get(tube, cell).by ||= made;
    const before = newest([...study.saved, ...readRows([HEADER, ...decisions.log].join("\n")).rows]);
    const people = { made_by: made, reviewed_by: reviewed, utc: utcNow() };
    const rows = rowsToAdd(study, decisions.byKey, before, people);
    const digest = decisions.log.length ? sha256(decisions.log.at(-1)) : study.base;
    decisions.log.push(...chained(rows, digest));
    decisions.save();
    if (!decisions.log.length) return this.say("There is nothing to export: no decision differs from the overrides file.");
    download("overrides.tsv", `${[HEADER, ...decisions.log].join("\n")}\n`);
    return this.say(`${decisions.log.length} rows exported, ${rows.length} of them new. Add them with: cytotrial overrides add overrides.tsv`);
  }

  refuse(text, id) {
    this.say(text, true);
    byId(id).focus();
  }

  async importFile(file) {
    const { rows, problems } = readRows(await file.text());
    if (problems.length) return this.say(`Nothing was read from ${file.name}: ${problems.slice(0, 3).join("; ")}${problems.length > 3 ? `; and ${problems.length - 3} more` : ""}`, true);
    const found = decisionsOf(this.study, rows);
    this.decisions.adopt(found.decisions);
    this.decisions.save();
    this.arrange();
    this.fillProgress();
    const more = found.problems.length ? ` ${found.problems.length} not taken: ${found.problems.slice(0, 3).join("; ")}` : "";
    return this.say(`${rows.length} rows read, ${found.decisions.size} gates decided.${more}`, Boolean(more));
  }

  /* hands */

  listen() {
    for (const name of FILTERS) byId(name).addEventListener("change", () => this.arrange({ keep: name !== "sort" }));
    byId("words").addEventListener("input", () => this.arrange());
    for (const name of ["code", "text"]) byId(name).addEventListener("input", () => this.giveReason());
    byId("text").addEventListener("change", () => this.sheet.refresh(this.tube));
    for (const name of ["made_by", "reviewed_by"]) {
      byId(name).value = this.store?.getItem(`cytotrial.review/${name}`) ?? "";
      byId(name).addEventListener("change", () => this.keepName(name));
    }
    const buttons = { approve: "approve", approve_tube: "approveTube", reject: "reject", take_back: "takeBack", undo: "undo", export: "exportRows", next_open: "nextOpen" };
    for (const [id, action] of Object.entries(buttons)) byId(id).addEventListener("click", () => this[action]());
    byId("zoom").addEventListener("click", () => this.detail.zoom());
    byId("import").addEventListener("click", () => byId("file").click());
    byId("file").addEventListener("change", async (event) => {
      if (event.target.files[0]) await this.importFile(event.target.files[0]);
      event.target.value = "";
    });
    for (const id of ["keys", "close_keys"]) byId(id).addEventListener("click", () => this.toggleKeys());
    document.addEventListener("keydown", (event) => onKey(this, event));
  }

  keepName(name) {
    try {
      this.store?.setItem(`cytotrial.review/${name}`, byId(name).value);
    } catch {
      this.say("This browser keeps nothing: export before you close the page.", true);
    }
  }

  toggleKeys() {
    const dialog = byId("help");
    if (dialog.open) dialog.close();
    else dialog.showModal();
  }
}

function byId(id) {
  return document.getElementById(id);
}

function partsOfDetail() {
  const ids = { heading: "heading", about: "about", percent: "percent", numbers: "numbers", plot: "plot", legend: "legend", below: "below", belowTable: "below_table", doubts: "doubts", cohort: "cohort" };
  return Object.fromEntries(Object.entries(ids).map(([part, id]) => [part, byId(id)]));
}

function distinct(values) {
  return [...new Set(values)].sort();
}

function download(name, text) {
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/tab-separated-values" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** The browser's own memory for this page, or none where it has none. */
function memory() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

async function start() {
  if (typeof DecompressionStream === "undefined") {
    byId("message").textContent = "This browser is too old for this page: use one from 2023 or later.";
    return;
  }
  const plain = JSON.parse(new TextDecoder().decode(await inflate(await blockText("study"))));
  const page = new Page(prepare(plain), memory());
  const { decisions, stale, problems } = decisionsOf(page.study, page.study.saved);
  page.decisions.adopt(decisions, stale);
  if (problems.length) page.say(`In the overrides file: ${problems.slice(0, 3).join("; ")}${problems.length > 3 ? `; and ${problems.length - 3} more` : ""}`, true);
  try {
    page.decisions.load();
  } catch (error) {
    page.say(`What this browser kept of an earlier review cannot be read: ${error.message}`, true);
  }
  await page.arrange({ keep: false });
  page.fillProgress();
  performance.mark("review-ready");
  document.documentElement.dataset.ready = "yes";
}

start().catch((error) => {
  byId("message").textContent = `The page's data cannot be read: ${error.message}`;
  byId("message").classList.add("bad");
});
