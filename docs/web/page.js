/**
 * The demo page of `landmarker.js`: draws landmarks on an image or on the camera's frames.
 *
 * Query parameters: model=FOLDER (with model.tflite and model_spec.json; defaults to "model/"),
 * image=URL and box=x0,y0,x1,y1 in the image's pixels. Both URLs must be of the page's own origin or
 * of one that index.html names.
 *
 * For programs, `wingTf` holds `Landmarker`, `landmarker` and the last `faces`; the body's
 * `data-state` is loading, ready (a model, no face yet), done or error.
 */

import { draw } from "./draw.js";
import { fetchFrom, Landmarker, nextBox } from "./landmarker.js";

const MIN_BOX_PX = 4; // smaller drags are clicks

const find = (id) => document.getElementById(id);
const canvas = find("image");
// No alpha: transparent pixels are black.
const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });
const policy = document.querySelector('meta[http-equiv="Content-Security-Policy"]')?.content;
// Besides the page's own origin: those that index.html allows.
const origins = (/connect-src 'self'([^;]*)/.exec(policy)?.[1] ?? "").split(" ").filter(Boolean);
const parameters = new URLSearchParams(location.search);
const video = document.createElement("video");
video.muted = video.playsInline = true;

let landmarker = null;
let pixels = null; // the shown ImageData
let faces = []; // the drawn faces
let box = null; // the face box, or null
let drawnBox = null; // the user's box, where tracking restarts
let imageName = "landmarks";

globalThis.wingTf = { Landmarker, landmarker: null, faces: [] };

function show(state, message) {
  document.body.dataset.state = state;
  find("message").textContent = message;
}

/** Runs an action of the user and shows its error on the page. */
async function attempt(action) {
  try {
    await action();
  } catch (error) {
    show("error", error.message);
  }
}

function showPixels(source, width, height) {
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    find("stage").style.setProperty("--ratio", width / height);
  }
  context.drawImage(source, 0, 0);
  pixels = context.getImageData(0, 0, width, height);
  find("empty").hidden = true;
  // The attribute, because SVG elements have no `hidden` property.
  for (const layer of [canvas, find("drawing")]) layer.removeAttribute("hidden");
}

function redraw(shownFaces, shownBox) {
  faces = wingTf.faces = shownFaces;
  find("save").disabled = !faces.length;
  draw(find("drawing"), {
    width: pixels.width,
    height: pixels.height,
    box: shownBox,
    faces,
    scheme: landmarker?.spec.scheme,
  });
}

/**
 * Locates the face in `box`, draws it and returns the duration in ms. If the image or the box has
 * changed meanwhile, nothing is drawn and null is returned: the later call draws.
 */
async function locate() {
  const [askedBox, askedPixels] = [box, pixels];
  const start = performance.now();
  const located = await landmarker.locate(askedPixels, [askedBox]);
  const duration = performance.now() - start;
  if (box !== askedBox || pixels !== askedPixels) return null;
  redraw(located, askedBox);
  return duration;
}

async function locateInImage() {
  if (!landmarker || !pixels || video.srcObject) return;
  if (!box) {
    show("ready", "Drag a box around the face, from the brows to the chin and from side to side.");
    return;
  }
  const duration = await locate();
  if (duration === null) return;
  const [{ scores, landmarksPx, box: asked }] = faces;
  const confidence = scores ? `, mean score ${(mean(scores) * 100).toFixed(0)} %` : "";
  const place = asked.map((value) => value.toFixed(1)).join(", ");
  show(
    "done",
    `${landmarksPx.length} landmarks in ${duration.toFixed(0)} ms${confidence}. Box: ${place}. ` +
      "Drag another box to try again.",
  );
}

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Shows an image file with its EXIF rotation applied and its colors as stored. */
async function openImage(blob, name) {
  stopCamera();
  const bitmap = await createImageBitmap(blob, {
    colorSpaceConversion: "none",
    imageOrientation: "from-image",
  }).catch(() => {
    throw new Error(`${name} is not an image that this browser can read.`);
  });
  showPixels(bitmap, bitmap.width, bitmap.height);
  bitmap.close();
  imageName = name.replace(/.*\//, "").replace(/\.[^.]*$/, "");
  box = drawnBox = null;
  redraw([], null);
}

async function openUrl(url) {
  const response = await fetchFrom(url, origins).catch((error) => {
    throw new Error(`No image at ${url}: ${error.message}.`);
  });
  if (!response.ok) throw new Error(`No image at ${url}: HTTP ${response.status}.`);
  await openImage(await response.blob(), url);
}

async function startCamera() {
  if (!landmarker) throw new Error("No model: the camera needs one.");
  if (!navigator.mediaDevices) {
    throw new Error("No camera: the page must come from https or from localhost.");
  }
  video.srcObject = await navigator.mediaDevices
    .getUserMedia({ video: { facingMode: "user", width: 640, height: 480 } })
    .catch((error) => {
      throw new Error(`No camera: ${error.message} (${error.name}).`);
    });
  await video.play();
  find("camera").textContent = "Stop the camera";
  imageName = "camera";
  const [width, height] = [video.videoWidth, video.videoHeight];
  const half = Math.min(width, height) / 4;
  const [x, y] = [(width - 1) / 2, (height - 1) / 2];
  box = drawnBox = [x - half, y - half, x + half, y + half];
  requestAnimationFrame(() => attempt(followFace));
}

function stopCamera() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  find("camera").textContent = "Use the camera";
}

/** Locates the face in one frame; its landmarks give the box of the next frame. */
async function followFace() {
  const stream = video.srcObject;
  if (!stream) return;
  showPixels(video, video.videoWidth, video.videoHeight);
  const duration = await locate();
  if (video.srcObject !== stream) return; // an image was opened meanwhile
  if (duration !== null) {
    show("done", `${duration.toFixed(0)} ms per frame. Drag a box around your face if it is lost.`);
    const next = nextBox(faces[0].landmarksPx, landmarker.spec.crop);
    box = isPlausible(next) ? next : drawnBox;
  }
  requestAnimationFrame(() => attempt(followFace));
}

/** Whether a box can contain a face: its center is in the frame and its size is plausible. */
function isPlausible([x0, y0, x1, y1]) {
  const { width, height } = pixels;
  const [x, y, side] = [(x0 + x1) / 2, (y0 + y1) / 2, Math.max(x1 - x0, y1 - y0)];
  const inside = x > 0 && y > 0 && x < width && y < height;
  return inside && side > 16 && side < 1.5 * Math.max(width, height);
}

/** Returns a pointer's position in image pixels, with pixel centers at integers. */
function toPixels(event) {
  const shown = canvas.getBoundingClientRect();
  return [
    ((event.clientX - shown.left) / shown.width) * canvas.width - 0.5,
    ((event.clientY - shown.top) / shown.height) * canvas.height - 0.5,
  ];
}

function listenForBoxes() {
  const surface = find("drawing");
  let corner = null;
  const boxTo = ([x, y]) => [
    Math.min(x, corner[0]), Math.min(y, corner[1]), Math.max(x, corner[0]), Math.max(y, corner[1]),
  ]; // prettier-ignore
  surface.addEventListener("pointerdown", (event) => {
    corner = toPixels(event);
    surface.setPointerCapture(event.pointerId);
  });
  surface.addEventListener("pointermove", (event) => {
    if (corner && !video.srcObject) redraw([], boxTo(toPixels(event)));
  });
  surface.addEventListener("pointerup", (event) => {
    if (!corner) return;
    const [x0, y0, x1, y1] = boxTo(toPixels(event));
    corner = null;
    if (Math.min(x1 - x0, y1 - y0) >= MIN_BOX_PX) box = drawnBox = [x0, y0, x1, y1];
    else redraw(faces, box);
    attempt(locateInImage);
  });
  surface.addEventListener("pointercancel", () => (corner = null));
}

function listenForImages() {
  const stage = find("stage");
  const open = (file) =>
    attempt(async () => {
      await openImage(file, file.name);
      await locateInImage();
    });
  find("file").addEventListener("change", ({ target }) => {
    if (target.files[0]) open(target.files[0]);
    target.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    stage.classList.add("dropping");
  });
  document.addEventListener("dragleave", () => stage.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    stage.classList.remove("dropping");
    const file = event.dataTransfer.files[0];
    if (file) open(file);
    else show("error", "Drop an image file.");
  });
}

function save() {
  const content = {
    scheme: landmarker.spec.scheme.name,
    faces: faces.map(({ landmarksPx, box: faceBox, scores }) => ({
      landmarks_px: landmarksPx,
      box_xyxy_px: faceBox,
      ...(scores && { scores }),
    })),
  };
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)]));
  link.download = `${imageName}_landmarks.json`;
  link.click();
  URL.revokeObjectURL(link.href);
}

async function loadModel() {
  const folder = parameters.get("model") ?? "model/";
  try {
    landmarker = wingTf.landmarker = await Landmarker.load(folder, { origins });
  } catch (error) {
    find("model").textContent = "No model";
    throw error;
  }
  const { scheme, input, precision } = landmarker.spec;
  const count = Array.isArray(scheme.points) ? scheme.points.length : scheme.points;
  const side = input.shape[1];
  find("model").textContent =
    `${scheme.name}: ${count} points, ${side} × ${side} input, ${precision}`;
}

async function begin() {
  listenForBoxes();
  listenForImages();
  find("camera").addEventListener("click", () =>
    attempt(async () => {
      if (!video.srcObject) return startCamera();
      stopCamera();
      show("ready", "Drag a box around a face, choose an image, or use the camera.");
    }),
  );
  find("save").addEventListener("click", save);
  await loadModel();
  show("ready", "");
  if (parameters.has("image")) await openUrl(parameters.get("image"));
  if (parameters.has("box")) box = parameters.get("box").split(",").map(Number);
  await locateInImage();
}

attempt(begin);
