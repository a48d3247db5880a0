// The `markdown` block: the part of CommonMark that Slack draws.

import { h } from "./dom.js";
import { emojiNode, link } from "./mrkdwn.js";

const INLINE =
  /`([^`\n]+)`|\[([^\]\n]+)\]\(([^)\s]+)\)|\*\*(\S(?:[^\n]*?\S)?)\*\*|~~(\S(?:[^\n]*?\S)?)~~|\*(\S(?:[^*\n]*\S)?)\*|(?<!\w)_(\S(?:[^_\n]*\S)?)_(?!\w)|:([a-z0-9_+'-]+):/g;

function inline(text) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(INLINE)) {
    const node = inlineNode(match);
    if (node === null) continue;
    nodes.push(document.createTextNode(text.slice(from, match.index)), node);
    from = match.index + match[0].length;
  }
  nodes.push(document.createTextNode(text.slice(from)));
  return nodes;
}

function inlineNode(match) {
  if (match[1] !== undefined) return h("code", {}, match[1]);
  if (match[2] !== undefined) return link(match[3], inline(match[2]));
  if (match[4] !== undefined) return h("strong", {}, inline(match[4]));
  if (match[5] !== undefined) return h("s", {}, inline(match[5]));
  const emphasis = match[6] ?? match[7];
  return emphasis !== undefined ? h("em", {}, inline(emphasis)) : emojiNode(match[8]);
}

const STARTS = [
  [/^```/, fence], [/^#{1,6}\s/, heading], [/^\s*(-{3,}|\*{3,})\s*$/, rule], [/^>\s?/, quote],
  [/^\s*([-*+]|\d+[.)])\s+/, list], [/^\s*\|.*\|\s*$/, table],
];

/** Markdown as nodes. */
export function markdown(text) {
  const lines = text.replaceAll("\r", "").split("\n");
  const nodes = [];
  while (lines.length) {
    if (!lines[0].trim()) {
      lines.shift();
      continue;
    }
    const start = STARTS.find(([pattern]) => pattern.test(lines[0]));
    nodes.push(start ? start[1](lines) : paragraph(lines));
  }
  return nodes;
}

function take(lines, test) {
  const taken = [];
  while (lines.length && test(lines[0])) taken.push(lines.shift());
  return taken;
}

function fence(lines) {
  lines.shift();
  const code = take(lines, (line) => !line.startsWith("```"));
  lines.shift();
  return h("pre", {}, h("code", {}, code.join("\n")));
}

function heading(lines) {
  const [, marks, text] = lines.shift().match(/^(#{1,6})\s+(.*?)\s*#*$/);
  return h(`h${Math.min(marks.length + 2, 5)}`, {}, inline(text));
}

function rule(lines) {
  lines.shift();
  return h("hr");
}

function quote(lines) {
  const inner = take(lines, (line) => /^>/.test(line)).map((line) => line.replace(/^>\s?/, ""));
  return h("blockquote", {}, markdown(inner.join("\n")));
}

function list(lines) {
  const ordered = /^\s*\d/.test(lines[0]);
  const items = take(lines, (line) => /^\s*([-*+]|\d+[.)])\s+|^\s{2,}\S/.test(line));
  const texts = [];
  for (const item of items) {
    const start = item.match(/^\s*(?:[-*+]|\d+[.)])\s+(.*)$/);
    if (start) texts.push(start[1]);
    else texts[texts.length - 1] += ` ${item.trim()}`;
  }
  return h(ordered ? "ol" : "ul", {}, texts.map((text) => h("li", {}, inline(text.replace(/^\[( |x)\]\s/, (_, mark) => (mark === "x" ? "☑ " : "☐ "))))));
}

function table(lines) {
  const rows = take(lines, (line) => /^\s*\|.*\|\s*$/.test(line)).map((line) => line.trim().slice(1, -1).split("|").map((cell) => cell.trim()));
  const rule = rows[1]?.every((cell) => /^:?-+:?$/.test(cell)) ? rows.splice(1, 1)[0] : [];
  const align = rule.map((cell) => (cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : ""));
  const row = (cells, tag) => h("tr", {}, cells.map((cell, index) => h(tag, { class: align[index] || null }, inline(cell))));
  const [head, ...body] = rows;
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Table" },
    h("table", {}, h("thead", {}, row(head, "th")), h("tbody", {}, body.map((cells) => row(cells, "td")))));
}

function paragraph(lines) {
  const text = take(lines, (line) => line.trim() && !STARTS.some(([pattern]) => pattern.test(line)));
  return h("p", {}, text.flatMap((line, index) => (index ? [h("br"), ...inline(line)] : inline(line))));
}
