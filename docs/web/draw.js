/** Landmarks and boxes as SVG over a picture. */

// One colour a region, told apart on skin: those of the Python package's drawings.
const COLOURS = [
  "#40a0ff", "#ffc800", "#ff6e00", "#00e676", "#00e5ff", "#d500f9", "#ff1744", "#aaff00", "#fff",
]; // prettier-ignore

function element(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function regionColours(scheme) {
  const colours = new Map();
  Object.values(scheme.regions).forEach((region, number) => {
    for (const index of region) colours.set(index, COLOURS[number % COLOURS.length]);
  });
  return (index) => colours.get(index) ?? COLOURS[0];
}

/**
 * Draws faces into an SVG element that lies over a picture, instead of what was there.
 *
 * @param {SVGElement} svg covers the picture exactly.
 * @param {object} content
 * @param {number} content.width, content.height the picture's size in its pixels.
 * @param {number[] | null} content.box x0, y0, x1, y1.
 * @param {object[]} content.faces as from `Landmarker.locate`; points that are NaN aren't drawn.
 * @param {object} content.scheme contract.json's mark-up: what is joined, and the regions.
 */
export function draw(svg, { width, height, box, faces, scheme }) {
  // A pixel's centre is an integer, so the picture begins half a pixel before 0.
  svg.setAttribute("viewBox", `-0.5 -0.5 ${width} ${height}`);
  const parts = [];
  if (box?.every(Number.isFinite)) {
    const [x, y, right, bottom] = box;
    parts.push(element("rect", { class: "box", x, y, width: right - x, height: bottom - y }));
  }
  for (const { landmarksPx } of faces) {
    const colourOf = regionColours(scheme);
    const known = (index) => landmarksPx[index].every(Number.isFinite);
    const joined = scheme.lines.length ? scheme.lines : scheme.curves;
    for (const line of joined) {
      line.slice(1).forEach((end, place) => {
        const start = line[place];
        if (!known(start) || !known(end)) return;
        const d = `M ${landmarksPx[start].join(" ")} L ${landmarksPx[end].join(" ")}`;
        parts.push(element("path", { class: "line", d, stroke: colourOf(start) }));
      });
    }
    landmarksPx.forEach((point, index) => {
      if (!known(index)) return;
      const d = `M ${point.join(" ")} h 0`;
      parts.push(element("path", { class: "point", d, stroke: colourOf(index) }));
    });
  }
  svg.replaceChildren(...parts);
}
