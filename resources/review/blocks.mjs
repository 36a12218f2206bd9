// The blocks of packed data that the page's file holds, a few for each tube.

import { inflate, readCurves, readPictures, readSample } from "./unpack.mjs";

/** A block of the page's data. The page starts before all of them are read; one that is cut is not there yet. */
export async function blockText(id) {
  const whole = () => document.readyState !== "loading" || document.getElementById(id)?.nextSibling;
  if (!whole()) await new Promise((done) => document.addEventListener("DOMContentLoaded", done, { once: true }));
  return document.getElementById(id)?.textContent ?? "";
}

export async function unpackPictures(tube) {
  return readPictures(await inflate(await blockText(`p${tube.index}`)), tube.cells.length, tube.lines.length);
}

export async function unpackCurves(study, control) {
  return readCurves(await inflate(await blockText(`c${control}`)), study.controls[control].curves);
}

export async function unpackSample(tube) {
  const text = await blockText(`e${tube.index}`);
  return text ? readSample(await inflate(text), tube.axes.length) : null;
}
