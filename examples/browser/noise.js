// Standard normal numbers: of a seed, or of a file that `consingan export RUN --noise noise.npz` wrote.

/** A function that gives numbers in (0, 1), 32 bits of each: xoshiro128** (Blackman and Vigna), begun by splitmix32. */
export function uniform(seed, stream) {
  let mixed = (seed ^ Math.imul(stream + 1, 0x85ebca6b)) >>> 0;
  const next = () => {
    mixed = (mixed + 0x9e3779b9) >>> 0;
    let z = Math.imul(mixed ^ (mixed >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
  const s = Uint32Array.from({ length: 4 }, next);
  const turned = (x, k) => (x << k) | (x >>> (32 - k));
  return () => {
    const made = Math.imul(turned(Math.imul(s[1], 5), 7), 9) >>> 0;
    const t = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = turned(s[3], 11);
    return (made + 0.5) / 2 ** 32;
  };
}

/** That many standard normal numbers of a seed and the number of a stream, by Box and Muller. */
export function normal(seed, stream, count) {
  const draw = uniform(seed, stream);
  const made = new Float32Array(count);
  for (let k = 0; k < count; k += 2) {
    const radius = Math.sqrt(-2 * Math.log(draw()));
    const angle = 2 * Math.PI * draw();
    made[k] = radius * Math.cos(angle);
    if (k + 1 < count) made[k + 1] = radius * Math.sin(angle);
  }
  return made;
}

/** The arrays of a .npz file by name, as {data: Float32Array, dims}. It is a zip whose files are not compressed. */
export function arrays(buffer) {
  const view = new DataView(buffer);
  const found = {};
  let end = buffer.byteLength - 22;
  while (end >= 0 && view.getUint32(end, true) !== 0x06054b50) end--;
  if (end < 0) throw new Error("This is no .npz file; write one with consingan export RUN --noise noise.npz.");
  let at = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left > 0; left--) {
    const [lengths, place] = [[28, 30, 32].map((k) => view.getUint16(at + k, true)), view.getUint32(at + 42, true)];
    const name = text(buffer, at + 46, lengths[0]);
    if (view.getUint16(at + 10, true) !== 0) throw new Error(`${name} is compressed; write the file anew.`);
    const start = place + 30 + view.getUint16(place + 26, true) + view.getUint16(place + 28, true);
    found[name.replace(/\.npy$/, "")] = array(buffer, start, name);
    at += 46 + lengths[0] + lengths[1] + lengths[2];
  }
  return found;
}

/** An array of a .npy file: magic, version, the header's length, a header such as {'descr': '<f4', 'shape': (2, 3)}. */
function array(buffer, start, name) {
  const header = text(buffer, start + 10, new DataView(buffer).getUint16(start + 8, true));
  if (!header.includes("'<f4'") || !header.includes("'fortran_order': False")) {
    throw new Error(`${name} holds no float32 numbers; write the file with consingan export RUN --noise noise.npz.`);
  }
  const dims = header.match(/'shape': \(([^)]*)\)/)[1].split(",").filter((each) => each.trim()).map(Number);
  const [from, count] = [start + 10 + header.length, dims.reduce((a, b) => a * b, 1)];
  return { data: new Float32Array(buffer.slice(from, from + 4 * count)), dims };
}

function text(buffer, start, length) {
  return new TextDecoder("latin1").decode(new Uint8Array(buffer, start, length));
}
