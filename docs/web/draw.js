/** Landmarks and boxes as SVG over an image. */

// One color per region, visible on skin; the same as in the Python package.
const COLORS = [
  "#40a0ff", "#ffc800", "#ff6e00", "#00e676", "#00e5ff", "#d500f9", "#ff1744", "#aaff00", "#fff",
]; // prettier-ignore

function element(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function regionColors(scheme) {
  const colors = new Map();
  Object.values(scheme.regions).forEach((region, number) => {
    for (const index of region) colors.set(index, COLORS[number % COLORS.length]);
  });
  return (index) => colors.get(index) ?? COLORS[0];
}

/**
 * Draws faces into an SVG element on top of an image, replacing its content.
 *
 * @param {SVGElement} svg element that covers the image exactly.
 * @param {object} content
 * @param {number} content.width, content.height size of the image in pixels.
 * @param {number[] | null} content.box x0, y0, x1, y1.
 * @param {object[]} content.faces as from `Landmarker.locate`; NaN points are not drawn.
 * @param {object} content.scheme scheme of model_spec.json, with lines and regions.
 */
export function draw(svg, { width, height, box, faces, scheme }) {
  // Pixel centers are integers: the image starts at -0.5.
  svg.setAttribute("viewBox", `-0.5 -0.5 ${width} ${height}`);
  const parts = [];
  if (box?.every(Number.isFinite)) {
    const [x, y, right, bottom] = box;
    parts.push(element("rect", { class: "box", x, y, width: right - x, height: bottom - y }));
  }
  for (const { landmarksPx } of faces) {
    const colorOf = regionColors(scheme);
    const known = (index) => landmarksPx[index].every(Number.isFinite);
    const lines = scheme.lines.length ? scheme.lines : scheme.curves;
    for (const line of lines) {
      line.slice(1).forEach((end, place) => {
        const start = line[place];
        if (!known(start) || !known(end)) return;
        const d = `M ${landmarksPx[start].join(" ")} L ${landmarksPx[end].join(" ")}`;
        parts.push(element("path", { class: "line", d, stroke: colorOf(start) }));
      });
    }
    landmarksPx.forEach((point, index) => {
      if (!known(index)) return;
      const d = `M ${point.join(" ")} h 0`;
      parts.push(element("path", { class: "point", d, stroke: colorOf(index) }));
    });
  }
  svg.replaceChildren(...parts);
}
