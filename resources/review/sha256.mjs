// SHA-256 (FIPS 180-4) of a text's UTF-8 bytes. The browser's own is not there on pages opened from disk
// everywhere, and answers later; the chain of rows needs it at once.

const PRIMES = firstPrimes(64);
const K = PRIMES.map((p) => fraction(Math.cbrt(p)));
const START = PRIMES.slice(0, 8).map((p) => fraction(Math.sqrt(p)));

function firstPrimes(n) {
  const primes = [];
  for (let k = 2; primes.length < n; k++) if (primes.every((p) => k % p)) primes.push(k);
  return primes;
}

/** First 32 bits after the point. */
function fraction(x) {
  return Math.floor((x - Math.floor(x)) * 2 ** 32) >>> 0;
}

function rotate(x, n) {
  return (x >>> n) | (x << (32 - n));
}

/** The digest in 64 hexadecimal digits. */
export function sha256(text) {
  const bytes = padded(new TextEncoder().encode(text));
  const view = new DataView(bytes.buffer);
  const hash = START.slice();
  const w = new Uint32Array(64);
  for (let at = 0; at < bytes.length; at += 64) digestBlock(view, at, hash, w);
  return hash.map((x) => (x >>> 0).toString(16).padStart(8, "0")).join("");
}

function padded(message) {
  const bytes = new Uint8Array(((message.length + 8) >> 6) * 64 + 64);
  bytes.set(message);
  bytes[message.length] = 0x80;
  const view = new DataView(bytes.buffer);
  view.setUint32(bytes.length - 8, Math.floor(message.length / 2 ** 29));
  view.setUint32(bytes.length - 4, (message.length << 3) >>> 0);
  return bytes;
}

function digestBlock(view, at, hash, w) {
  for (let i = 0; i < 16; i++) w[i] = view.getUint32(at + 4 * i);
  for (let i = 16; i < 64; i++) {
    const s0 = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ (w[i - 15] >>> 3);
    const s1 = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ (w[i - 2] >>> 10);
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  let [a, b, c, d, e, f, g, h] = hash;
  for (let i = 0; i < 64; i++) {
    const s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const one = (h + s1 + ((e & f) ^ (~e & g)) + K[i] + w[i]) | 0;
    const s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const two = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((x, i) => (hash[i] = (hash[i] + x) | 0));
}
