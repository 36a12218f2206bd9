// Counts of the review page for gates that are given on standard input, by the page's own modules.

import { Tally } from "../resources/review/estimate.mjs";
import { gatesNow, prepare } from "../resources/review/study.mjs";
import { readPictures, readSample } from "../resources/review/unpack.mjs";

let text = "";
for await (const part of process.stdin) text += part;
const asked = JSON.parse(text);
const bytes = (base64) => new Uint8Array(Buffer.from(base64, "base64"));
const answers = asked.tubes.map(({ study, pictures, sample, moves }) => {
  const [tube] = prepare(study).tubes;
  const tally = new Tally(tube, readPictures(bytes(pictures), tube.cells.length, tube.lines.length), sample ? readSample(bytes(sample), tube.axes.length) : null);
  return moves.map((move) => {
    const gates = gatesNow(tube, { get: () => undefined });
    for (const [population, gate] of Object.entries(move)) gates.set(population, gate);
    const counted = tally.count(gates);
    const margins = Object.fromEntries(tube.gates.map(({ population }) => [population, tally.margin(population, counted)]));
    return { events: Object.fromEntries(counted.events), margins };
  });
});
process.stdout.write(JSON.stringify(answers));
