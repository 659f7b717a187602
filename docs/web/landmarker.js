/**
 * Facial landmarks from a model that wing-export wrote, in the browser.
 *
 *     const landmarker = await Landmarker.load("export/");
 *     const faces = await landmarker.locate(imageData, [[x0, y0, x1, y1]]);
 *
 * Conventions are those of the Python package: points are (x, y); pixel centers are integers, so an
 * image that is W pixels wide spans x from -0.5 to W - 0.5; a box is x0, y0, x1, y1 in the same
 * continuous coordinates.
 */

import { getGlobalLiteRtPromise, loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

const MODEL_SPEC_VERSION = 1;
const MAX_SAMPLED_SIDE = 8192; // as in the Python package
const MAX_COORDINATE_PX = 1e7; // as in the Python package: far beyond any image

/**
 * Returns the crop of a face box: scaled by the margin and, unless `square` is false, a square with
 * the longer side of the box.
 */
export function cropRegion(box, { margin, square }) {
  const [x0, y0, x1, y1] = box;
  const width = square ? Math.max(x1 - x0, y1 - y0) : x1 - x0;
  const height = square ? width : y1 - y0;
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  const [halfWidth, halfHeight] = [(width * margin) / 2, (height * margin) / 2];
  return [x - halfWidth, y - halfHeight, x + halfWidth, y + halfHeight];
}

/** Returns the tight box of landmarks [[x, y], ...], without those that are NaN. */
export function landmarkBox(landmarksPx) {
  const known = landmarksPx.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  const [xs, ys] = [known.map((point) => point[0]), known.map((point) => point[1])];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

/**
 * Returns the box to crop in the next frame, as a model's training boxes were: for `crop` without
 * `box_around_landmarks`, the tight box of the landmarks.
 */
export function nextBox(landmarksPx, crop) {
  const [x0, y0, x1, y1] = landmarkBox(landmarksPx);
  const relative = crop.box_around_landmarks;
  if (!relative) return [x0, y0, x1, y1];
  const side = Math.max(x1 - x0, y1 - y0);
  const center = [(x0 + x1) / 2, (y0 + y1) / 2];
  return relative.map((place, index) => center[index % 2] + side * place);
}

/**
 * Returns the weights of the image's pixels along one axis of a crop: for each of `size` results
 * the first pixel and the weights from there on. A result is the mean of `factor` linear samples;
 * pixels outside of the image are black, so they have no weight.
 */
function axisWeights({ low, high, size, factor, length }) {
  const step = (high - low) / (size * factor);
  const place = (sample) => low + (sample + 0.5) * step;
  const clip = (pixel) => Math.min(Math.max(pixel, 0), length - 1);
  return Array.from({ length: size }, (_, result) => {
    const first = clip(Math.floor(place(result * factor)));
    const last = clip(Math.floor(place((result + 1) * factor - 1)) + 1);
    const weights = new Float64Array(last - first + 1);
    const add = (pixel, weight) => {
      if (pixel >= 0 && pixel < length) weights[pixel - first] += weight / factor;
    };
    for (let sample = result * factor; sample < (result + 1) * factor; sample++) {
      const position = place(sample);
      const pixel = Math.floor(position);
      add(pixel, 1 - (position - pixel));
      add(pixel + 1, position - pixel);
    }
    return { first, weights };
  });
}

/**
 * Crops a box of an image and resizes it, with exact positions and antialiasing: to reduce by s,
 * the image is sampled linearly on a grid ceil(s) times as fine as the result, and blocks are
 * averaged. The scaling of a canvas guarantees neither.
 *
 * @param {ImageData} imageData the image; its alpha is ignored.
 * @param {number[]} box x0, y0, x1, y1; pixels outside of the image are black.
 * @param {number} size side of the result in pixels.
 * @returns {Uint8Array} RGB, size * size * 3 values.
 */
export function cropAndResize(imageData, box, size) {
  const { data, width, height } = imageData;
  const [x0, y0, x1, y1] = box;
  const reduction = Math.max(x1 - x0, y1 - y0) / size;
  const factor = Math.min(
    Math.max(1, Math.ceil(reduction - 1e-6)),
    Math.floor(MAX_SAMPLED_SIDE / size),
  );
  const columns = axisWeights({ low: x0, high: x1, size, factor, length: width });
  const rows = axisWeights({ low: y0, high: y1, size, factor, length: height });

  // Both passes are sums along one axis: first within the needed rows, then along the columns.
  const top = rows[0].first;
  const bottom = rows[size - 1].first + rows[size - 1].weights.length;
  const stride = size * 3;
  const narrow = new Float32Array((bottom - top) * stride);
  for (let y = top; y < bottom; y++) {
    let out = (y - top) * stride;
    for (const { first, weights } of columns) {
      let pixel = (y * width + first) * 4;
      for (const weight of weights) {
        narrow[out] += weight * data[pixel];
        narrow[out + 1] += weight * data[pixel + 1];
        narrow[out + 2] += weight * data[pixel + 2];
        pixel += 4;
      }
      out += 3;
    }
  }
  const crop = new Uint8Array(size * stride);
  const sums = new Float64Array(stride);
  rows.forEach(({ first, weights }, row) => {
    sums.fill(0);
    weights.forEach((weight, k) => {
      const start = (first + k - top) * stride;
      for (let i = 0; i < stride; i++) sums[i] += weight * narrow[start + i];
    });
    for (let i = 0; i < stride; i++) crop[row * stride + i] = Math.round(sums[i]);
  });
  return crop;
}

/** Maps points [x, y, x, y, ...] of a crop of `size` pixels back to its image. */
function toImage(points, [x0, y0, x1, y1], size) {
  const back = (value, low, high) => low + ((value + 0.5) * (high - low)) / size;
  return Array.from({ length: points.length / 2 }, (_, k) => [
    back(points[2 * k], x0, x1),
    back(points[2 * k + 1], y0, y1),
  ]);
}

/**
 * Returns the response of a URL. Its origin must be that of the page, or one of `origins`: a link
 * to a page must not decide which other computer the page asks for models and images.
 *
 * @param {string | URL} url absolute, or relative to the page.
 * @param {string[]} origins other allowed origins, such as "https://models.example".
 * @returns {Promise<Response>}
 * @throws {Error} if the origin is another one, or if there is no response.
 */
export async function fetchFrom(url, origins) {
  const { origin: own } = globalThis.location ?? new URL(import.meta.url);
  const asked = new URL(url, globalThis.document?.baseURI ?? import.meta.url);
  if (asked.origin !== own && !origins.includes(asked.origin)) {
    const allowed = [own, ...origins].join(" or ");
    throw new Error(`it must come from ${allowed}, which the page allows, not from ${asked.origin}`);
  }
  // Without a redirection to another origin.
  return fetch(asked, { mode: asked.origin === own ? "same-origin" : "cors" });
}

async function fetchPart(folder, name, origins) {
  const url = new URL(name, folder);
  const hint = "Write a model with wing-export and serve its folder";
  const response = await fetchFrom(url, origins).catch((error) => {
    throw new Error(`No model at ${folder}: ${error.message}. ${hint}.`);
  });
  if (!response.ok) {
    throw new Error(`No model at ${folder}: ${name} gave HTTP ${response.status}. ${hint}.`);
  }
  return response;
}

/** Throws an error if this file can't run a model with this spec. */
function checkModelSpec(spec) {
  if (spec.version !== MODEL_SPEC_VERSION) {
    throw new Error(
      `model_spec.json must be of version ${MODEL_SPEC_VERSION}. Received: version ` +
        `${spec.version ?? "unknown"}. Take the landmarker.js that came with its wing-export.`,
    );
  }
  const { format, input = {}, crop = {} } = spec;
  const [batch, height, width, channels] = input.shape ?? [];
  const wrong = (what, received) => {
    // JSON.stringify(undefined) is undefined: the key is absent.
    throw new Error(`The model's ${what}. Received: ${JSON.stringify(received) ?? "nothing"}.`);
  };
  if (format !== "litert") wrong("format must be litert (wing-export --format=litert)", format);
  const isCrop = batch === 1 && height > 0 && height === width && channels === 3;
  if (!isCrop || input.dtype !== "uint8" || input.color !== "RGB") {
    wrong("input must be uint8 [1, S, S, 3] in RGB", input);
  }
  if (!Number.isFinite(crop.margin) || crop.margin <= 0) {
    wrong("crop margin must be a positive number", crop.margin);
  }
  if (typeof crop.square !== "boolean") wrong("crop.square must be true or false", crop.square);
  if (!Array.isArray(crop.boxes) || !crop.boxes.every((kind) => typeof kind === "string")) {
    wrong("crop.boxes must be a list of names", crop.boxes);
  }
  if (crop.box_around_landmarks) checkBox(crop.box_around_landmarks);
  if (crop.outside !== "black") wrong("crop must be black outside of the image", crop.outside);
}

function checkBox(box) {
  const numbers = Array.from(box ?? []);
  if (
    numbers.length !== 4 ||
    !numbers.every((value) => Number.isFinite(value) && Math.abs(value) <= MAX_COORDINATE_PX) ||
    numbers[0] >= numbers[2] ||
    numbers[1] >= numbers[3]
  ) {
    throw new Error(
      "A box must be four finite numbers, with x0 < x1 and y0 < y1. " +
        `Received: [${numbers.join(", ")}].`,
    );
  }
  return numbers;
}

/** An exported model with its crop rule. Create it with `Landmarker.load`. */
export class Landmarker {
  #model;

  constructor(model, spec) {
    this.#model = model;
    /** Content of model_spec.json: input, crop rule, outputs and scheme. */
    this.spec = spec;
  }

  /**
   * Loads model.tflite and model_spec.json.
   *
   * @param {string | URL} folder URL of the folder with both files.
   * @param {object} [options]
   * @param {string | URL} [options.wasm] folder of the runtime's WebAssembly files. Defaults to
   *     that of the npm package.
   * @param {"wasm" | "webgpu"} [options.accelerator] back end. Small networks are fastest on
   *     the CPU ("wasm").
   * @param {string[]} [options.origins] other origins than the page's own from which the model may
   *     come, such as "https://models.example". Defaults to none.
   * @returns {Promise<Landmarker>}
   * @throws {Error} if there is no such model, or if this file can't run it.
   */
  static async load(folder, { wasm, accelerator = "wasm", origins = [] } = {}) {
    const base = new URL(folder, globalThis.document?.baseURI ?? import.meta.url);
    if (!base.pathname.endsWith("/")) base.pathname += "/";
    const text = await (await fetchPart(base, "model_spec.json", origins)).text();
    let spec;
    try {
      spec = JSON.parse(text);
    } catch {
      throw new Error(`${base}model_spec.json is not JSON.`);
    }
    checkModelSpec(spec);
    const file = await fetchPart(base, "model.tflite", origins);
    const bytes = new Uint8Array(await file.arrayBuffer());
    // There is one runtime per page.
    wasm ??= new URL("../wasm/", import.meta.resolve("@litertjs/core"));
    await (getGlobalLiteRtPromise() ?? loadLiteRt(String(wasm)));
    let model;
    try {
      model = await loadAndCompile(bytes, { accelerator });
    } catch (error) {
      throw new Error(`${base}model.tflite can't be run here: ${error.message ?? error}.`);
    }
    return new Landmarker(model, spec);
  }

  /**
   * Locates the landmarks of faces.
   *
   * @param {ImageData} imageData an image, as from `context.getImageData`; alpha is ignored.
   * @param {number[][]} boxes face boxes [x0, y0, x1, y1] of the kind in training: see
   *     `spec.crop.boxes`; "landmark" is the tight box of the landmarks.
   * @returns {Promise<{landmarksPx: number[][], box: number[], scores: number[] | null}[]>} one
   *     entry per box: K points [x, y] in the image's pixels, the box, and K scores in 0..1 if
   *     the model has them.
   * @throws {Error} for another kind of image or an invalid box.
   */
  async locate(imageData, boxes) {
    const { data, width, height } = imageData ?? {};
    if (!(data instanceof Uint8ClampedArray) || data.length !== width * height * 4) {
      throw new Error("`imageData` must be ImageData with 8 bits per channel.");
    }
    const checked = Array.from(boxes, checkBox);
    const size = this.spec.input.shape[1];
    const faces = [];
    for (const box of checked) {
      const region = cropRegion(box, this.spec.crop);
      const outputs = await this.#run(cropAndResize(imageData, region, size));
      faces.push({
        landmarksPx: toImage(outputs.landmarks, region, size),
        box,
        scores: outputs.scores ? Array.from(outputs.scores) : null,
      });
    }
    return faces;
  }

  /** Frees the model's memory, which the browser does not free by itself. */
  delete() {
    this.#model.delete();
  }

  /** Runs one crop; returns the outputs' values by name. */
  async #run(crop) {
    const { name, shape } = this.spec.input;
    const input = new Tensor(crop, shape);
    let outputs = {};
    try {
      outputs = await this.#model.run({ [name]: input });
      const values = {};
      for (const [key, tensor] of Object.entries(outputs)) values[key] = await tensor.data();
      return values;
    } finally {
      for (const tensor of [input, ...Object.values(outputs)]) tensor.delete();
    }
  }
}
