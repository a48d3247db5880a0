// Building DOM nodes. Text always becomes a text node, never markup.

/**
 * Make an element. Props: `class`, `on` ({event: handler}), `dataset`, booleans and plain attributes.
 * Children: nodes, strings, arrays, or null to leave out.
 */
export function h(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, handler] of Object.entries(value)) node.addEventListener(event, handler);
    } else if (name === "dataset") {
      Object.assign(node.dataset, value);
    } else if (name === "value") {
      node.value = value;
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
  append(node, children);
  return node;
}

export function append(node, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    node.append(child);
  }
}

const ICONS = {
  close: ["M5 5l10 10M15 5L5 15"],
  menu: ["M3 5.5h14M3 10h14M3 14.5h14"],
  back: ["M12 4l-6 6 6 6"],
  send: ["M4 10h11M10.5 5l5 5-5 5"],
  clip: ["M14.5 9.5l-5 5a3.2 3.2 0 01-4.6-4.6l6-6a2.2 2.2 0 013.1 3.1l-6 6a1.1 1.1 0 01-1.6-1.6l5-5"],
  reply: ["M4 5h12v8.5H9.5L6 16.5v-3H4z"],
  smile: ["M10 3a7 7 0 100 14 7 7 0 000-14zM7.3 8v.8M12.7 8v.8M7 12c1.6 1.9 4.4 1.9 6 0"],
  more: ["M5 10h.01M10 10h.01M15 10h.01"],
  eye: ["M2.5 10S5.3 5 10 5s7.5 5 7.5 5-2.8 5-7.5 5-7.5-5-7.5-5z", "M10 8a2 2 0 100 4 2 2 0 000-4z"],
};

/** A line icon, drawn in the current colour. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 20 20", fill: "none", stroke: "currentColor", "stroke-width": name === "more" ? "2.6" : "1.6",
    "stroke-linecap": "round", "stroke-linejoin": "round", "aria-hidden": "true",
  })) svg.setAttribute(key, value);
  for (const line of ICONS[name]) {
    const path = document.createElementNS(svg.namespaceURI, "path");
    path.setAttribute("d", line);
    svg.append(path);
  }
  return svg;
}

export function iconButton(name, label, onClick, props = {}) {
  const { class: extra, ...rest } = props;
  return h("button", {
    class: `icon-button ${extra ?? ""}`.trim(), type: "button", "aria-label": label, title: label, on: { click: onClick }, ...rest,
  }, icon(name));
}

/** The bot's mark: a reference distribution and the one that drifted away from it. */
function botMark() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 32 32");
  svg.setAttribute("aria-hidden", "true");
  for (const [d, opacity] of [["M4 23c4.5 0 5-13 8.5-13S16.5 23 21 23", 0.5], ["M10 23c5 0 6-13 10-13s4.5 13 8.5 13", 1]]) {
    const path = document.createElementNS(svg.namespaceURI, "path");
    for (const [key, value] of Object.entries({
      d, fill: "none", stroke: "#fff", "stroke-opacity": opacity, "stroke-width": 2.3, "stroke-linecap": "round",
    })) path.setAttribute(key, value);
    svg.append(path);
  }
  return svg;
}

export function avatar(person, size = "") {
  if (person.kind === "bot") return h("span", { class: `avatar bot ${size}`, "aria-hidden": "true" }, botMark());
  const initials = person.name.split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? "").join("").toUpperCase();
  const node = h("span", { class: `avatar ${person.kind ?? ""} ${size}`, "aria-hidden": "true" }, initials);
  node.style.setProperty("--hue", String(hue(person.id)));
  return node;
}

function hue(text) {
  let sum = 7;
  for (const letter of text) sum = (sum * 31 + letter.charCodeAt(0)) % 3600;
  return [212, 28, 268, 340, 158, 45, 190, 305][sum % 8];
}
