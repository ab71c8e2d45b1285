// A model that `consingan export RUN --onnx model.onnx` wrote, in ONNX Runtime.
//
//   const generator = await Generator.open(await (await fetch("model.onnx")).arrayBuffer());
//   const { data, dims } = await generator.picture(generator.inputs([300, 400], 7));   // [1, C, H, W], -1 to 1

import { normal, uniform } from "./noise.js";

const RUNTIME = "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";
const METADATA = "consingan"; // the key of what the file says of itself
const METADATA_FIELD = 14; // of ONNX's ModelProto
const MOST_PIXELS = 512 * 512; // of a picture: a browser's memory is small

export class Generator {
  /** @param {ArrayBuffer} buffer the file */
  static async open(buffer) {
    const bytes = new Uint8Array(buffer);
    const facts = told(bytes);
    const runtime = await import(RUNTIME).catch(() => {
      throw new Error("onnxruntime-web is not in node_modules; type npm install in the folder of this page.");
    });
    if (!globalThis.crossOriginIsolated) runtime.env.wasm.numThreads = 1;
    return new Generator(await runtime.InferenceSession.create(bytes), facts, runtime.Tensor);
  }

  constructor(session, facts, Tensor) {
    this.facts = facts; // see docs/export.md
    this.session = session;
    this.Tensor = Tensor;
  }

  /** [H, W] of the pictures that it was trained on, or of the only ones that it makes. */
  get size() {
    return this.facts.size ?? this.facts.sizes.at(-1);
  }

  /** What makes the picture of [H, W] of a seed, by the inputs' names; variation from 0, the layout, to 1, any. */
  inputs(size, seed, variation = this.facts.variation) {
    const { amplitudes, channels, features, more, codes, categories } = this.facts;
    this.#check(size);
    const made = { amplitudes: floats(amplitudes), variation: { data: Float32Array.of(variation), dims: [] } };
    this.#sizes(size).forEach(([rows, columns], stage) => {
      const dims = [1, stage ? features : channels, rows + more[stage][0], columns + more[stage][1]];
      made[`noise_${stage}`] = { data: normal(seed, stage, dims.reduce((a, b) => a * b)), dims };
    });
    if (codes) {
      const draw = uniform(seed, amplitudes.length);
      const values = Array.from({ length: codes }, (_, k) => (k < codes - categories ? 2 * draw() - 1 : 0));
      if (categories) values[codes - categories + Math.floor(draw() * categories)] = 1;
      made.codes = { data: Float32Array.from(values), dims: [1, codes] };
    }
    return made;
  }

  /** The picture of inputs by name, each {data, dims}: {data, dims: [B, C, H, W]}, from -1 to 1. */
  async picture(inputs) {
    const missing = this.session.inputNames.filter((name) => !(name in inputs));
    if (missing.length) throw new Error(`${missing.join(", ")} is not there: this noise is of another model.`);
    const tensor = ({ data, dims }) => new this.Tensor("float32", data, dims);
    const given = Object.fromEntries(this.session.inputNames.map((name) => [name, tensor(inputs[name])]));
    const { picture } = await this.session.run(given);
    return picture;
  }

  /** [H, W] of the stages: each grows by the factor of the last one, rounded as Python does it. */
  #sizes(size) {
    const { sizes } = this.facts;
    const factor = size.map((side, axis) => side / sizes.at(-1)[axis]);
    const grown = (own) => own.map((side, axis) => Math.max(1, rounded(side * factor[axis])));
    return [...sizes.slice(0, -1).map(grown), size];
  }

  #check([height, width]) {
    const { size } = this.facts;
    const called = `${width}x${height}`;
    if (size && (size[0] !== height || size[1] !== width)) {
      throw new Error(`The size is ${called}, and this model makes ${size[1]}x${size[0]} px only; export it without --fixed.`);
    }
    if (!(Number.isInteger(height) && Number.isInteger(width) && Math.min(height, width) >= 8)) {
      throw new Error(`The size is ${called}; give whole sides of 8 px or more.`);
    }
    if (height * width > MOST_PIXELS) {
      throw new Error(`The size is ${called}; give at most ${MOST_PIXELS} pixels, such as 512x512.`);
    }
  }
}

/** Bytes of RGBA for a canvas, of the first picture of [B, C, H, W]: grey or colour, rounded to 8 bits. */
export function pixels({ data, dims: [, channels, height, width] }) {
  if (channels !== 1 && channels !== 3) {
    throw new Error(`The pictures have ${channels} channels; this page shows grey and colour, 1 and 3.`);
  }
  const count = height * width;
  const made = new Uint8ClampedArray(4 * count).fill(255);
  for (let k = 0; k < count; k++) {
    for (let c = 0; c < 3; c++) made[4 * k + c] = (data[(channels === 3 ? c : 0) * count + k] + 1) * 127.5; // it rounds
  }
  return new ImageData(made, width, height);
}

/** What a file says of itself. It is a protobuf message, whose fields are a tag, then a number or a length and bytes. */
function told(bytes) {
  const stranger = new Error("This is no model of consingan export; write one with consingan export RUN --onnx model.onnx.");
  try {
    for (const [field, value] of fields(bytes)) {
      if (field !== METADATA_FIELD) continue;
      const [key, text] = [...fields(value)].map(([, part]) => new TextDecoder().decode(part));
      if (key === METADATA) return JSON.parse(text);
    }
  } catch {
    throw stranger;
  }
  throw stranger;
}

/** The fields of a message that are bytes: [number, bytes]. */
function* fields(bytes) {
  let at = 0;
  const number = () => {
    for (let value = 0, factor = 1; ; factor *= 128) {
      if (at >= bytes.length) throw new Error("the message is cut");
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = number();
    const kind = tag % 8;
    if (kind === 0) number();
    else if (kind === 1 || kind === 5) at += kind === 1 ? 8 : 4;
    else if (kind === 2) {
      const length = number();
      yield [Math.floor(tag / 8), bytes.subarray(at, at + length)];
      at += length;
    } else throw new Error("no message");
  }
}

/** As Python rounds: halves to the even number. */
function rounded(x) {
  const near = Math.round(x);
  return near - x === 0.5 && near % 2 ? near - 1 : near;
}

function floats(values) {
  return { data: Float32Array.from(values), dims: [values.length] };
}
