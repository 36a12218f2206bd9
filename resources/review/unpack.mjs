// The page's data: deflated, in base64; counts as gaps and numbers of seven-bit groups.

/** The bytes of deflated, base64-written content. */
export async function inflate(text) {
  const packed = Uint8Array.from(atob(text.trim()), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Reads whole numbers one after the other. */
export class Numbers {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  next() {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const group = this.bytes[this.at++];
      if (group === undefined) throw new Error("the page's data are cut");
      value += (group & 127) * scale;
      if (group < 128) return value;
    }
  }

  /** Counts as the places of the occupied bins and what is in them. */
  sparse() {
    const n = this.next();
    const places = new Uint32Array(n);
    const counts = new Uint32Array(n);
    let place = -1;
    for (let i = 0; i < n; i++) places[i] = place += this.next() + 1;
    for (let i = 0; i < n; i++) counts[i] = this.next();
    return { places, counts };
  }
}

/** A tube's pictures: of each cell the counts of its plane and of both its axes; then the axes of its lines. */
export function readPictures(bytes, nCells, nLines) {
  const numbers = new Numbers(bytes);
  const cells = Array.from({ length: nCells }, () => ({
    plane: numbers.sparse(),
    x: numbers.sparse(),
    y: numbers.sparse(),
  }));
  const lines = Array.from({ length: nLines }, () => numbers.sparse());
  return { cells, lines };
}

/** A control's curves: sparse counts, one after the other. */
export function readCurves(bytes, n) {
  const numbers = new Numbers(bytes);
  return Array.from({ length: n }, () => numbers.sparse());
}

/** A tube's sample of events: groups (pattern, events of the tube, events kept) and a byte per axis and event. */
export function readSample(bytes, nAxes) {
  const numbers = new Numbers(bytes);
  const groups = Array.from({ length: numbers.next() }, () => ({
    pattern: numbers.next(),
    total: numbers.next(),
    kept: numbers.next(),
  }));
  const n = groups.reduce((sum, group) => sum + group.kept, 0);
  const levels = Array.from({ length: nAxes }, (_, axis) =>
    bytes.subarray(numbers.at + axis * n, numbers.at + (axis + 1) * n),
  );
  return { groups, levels, n };
}
