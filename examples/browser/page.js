// The page: from its fields to the generator, and from there to the canvas.

import { Generator, pixels } from "./generator.js";
import { arrays } from "./noise.js";

const MODEL = "model.onnx"; // beside this page
const $ = (id) => document.getElementById(id);
let generator = null;
let shown = null; // name of the picture on the canvas

/** Do something, and say how it went; the buttons wait for it. */
async function attempt(doing, work) {
  say(doing);
  $("controls").disabled = true;
  try {
    say(await work());
  } catch (error) {
    say(error.message, true);
  }
  $("controls").disabled = false;
  $("make").disabled = generator === null;
  $("save").disabled = shown === null;
}

function say(text, wrong = false) {
  $("told").textContent = text;
  $("told").classList.toggle("wrong", wrong);
}

async function open(buffer, name) {
  [generator, shown] = [null, null];
  generator = await Generator.open(buffer);
  const { facts, size } = generator;
  [$("height").value, $("width").value] = size;
  $("height").disabled = $("width").disabled = facts.size !== null;
  $("variation").value = facts.variation;
  $("model").textContent = `${name}: ${facts.sizes.length} stages, learned from a picture of ${facts.sizes.at(-1)[1]}x${facts.sizes.at(-1)[0]} px${facts.size ? "; makes this size only" : ""}.`;
}

async function draw(inputs, name) {
  const began = performance.now();
  const made = await generator.picture(inputs);
  const seconds = (performance.now() - began) / 1000;
  const image = pixels(made);
  [$("canvas").width, $("canvas").height] = [image.width, image.height];
  $("canvas").getContext("2d").putImageData(image, 0, 0);
  $("canvas").hidden = false;
  shown = `${name}_${image.width}x${image.height}.png`;
  return `${image.width}x${image.height} px in ${seconds.toFixed(2)} s.`;
}

function make() {
  return attempt("Making a picture ...", () => {
    const [size, seed] = [["height", "width"].map((id) => Number($(id).value)), Number($("seed").value)];
    if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32) {
      throw new Error(`The seed is ${$("seed").value}; give a whole number from 0 to ${2 ** 32 - 1}.`);
    }
    return draw(generator.inputs(size, seed, Number($("variation").value)), `seed_${seed}`);
  });
}

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  make();
});
$("new").addEventListener("click", () => {
  $("seed").value = crypto.getRandomValues(new Uint32Array(1))[0];
  make();
});
$("save").addEventListener("click", () => {
  $("canvas").toBlob((blob) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: shown });
    link.click();
    URL.revokeObjectURL(link.href);
  });
});
$("file").addEventListener("change", ({ target: { files: [file] } }) =>
  file && attempt("Loading the model ...", async () => {
    await open(await file.arrayBuffer(), file.name);
    return "Ready.";
  }),
);
$("noise").addEventListener("change", ({ target: { files: [file] } }) =>
  file && attempt("Making the sample ...", async () => {
    if (generator === null) throw new Error("There is no model yet; choose one first.");
    return draw(arrays(await file.arrayBuffer()), file.name.replace(/\.npz$/, ""));
  }),
);

await attempt("Loading the model ...", async () => {
  const answer = await fetch(MODEL);
  if (!answer.ok) throw new Error(`${MODEL} is not beside this page; write it with consingan export RUN --onnx ${MODEL}, or choose one.`);
  await open(await answer.arrayBuffer(), MODEL);
  return "Ready.";
});
if (generator !== null) await make();
document.body.dataset.ready = "yes";
