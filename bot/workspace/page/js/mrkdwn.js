// Slack's mrkdwn, as DOM nodes.

import { h } from "./dom.js";
import { dateText } from "./dates.js";
import { emoji } from "./emoji.js";

/** What a text may refer to: people, channels and groups by id. Set whenever the state arrives. */
export const names = { users: new Map(), channels: new Map(), groups: new Map(), me: "" };

export function unescape(text) {
  return text.replaceAll("&lt;", "<").replaceAll("&gt;", ">").replaceAll("&amp;", "&");
}

/** A `plain_text` or `mrkdwn` text object. */
export function textObject(object) {
  return object.type === "mrkdwn" ? mrkdwn(object.text) : plainText(object.text, object.emoji !== false);
}

/** Plain text; only emoji names are replaced. */
export function plainText(text, withEmoji = true) {
  if (!withEmoji) return words(text.replaceAll("&", "&amp;"));
  return splitBy(text, /:([a-z0-9_+'-]+):/g, (match) => emojiNode(match[1]));
}

export function emojiNode(name) {
  const sign = emoji(name);
  return sign ? h("span", { class: "emoji", role: "img", "aria-label": name.replaceAll("_", " "), title: `:${name}:` }, sign) : null;
}

/** mrkdwn with its blocks: code fences, quotes, lists, and lines of inline text. */
export function mrkdwn(text) {
  const nodes = [];
  text.split(/```([\s\S]*?)```/g).forEach((part, index) => {
    if (index % 2) nodes.push(h("pre", {}, h("code", {}, references(part.replace(/^\n|\n$/g, "")))));
    else if (part) nodes.push(...lines(index ? part.replace(/^\n/, "") : part));
  });
  return nodes;
}

function lines(text) {
  const nodes = [];
  let run = [];
  let kind = "text";
  const flush = () => {
    if (!run.length) return;
    if (kind === "quote") nodes.push(h("blockquote", {}, inlineLines(run)));
    else if (kind === "bullet") nodes.push(h("ul", {}, run.map((line) => h("li", {}, inline(line)))));
    else {
      if (nodes.length && nodes.at(-1).nodeName === "#text") nodes.push(document.createTextNode("\n"));
      nodes.push(...inlineLines(run));
    }
    run = [];
  };
  for (const line of text.split("\n")) {
    const quote = line.match(/^(?:&gt;|>)\s?(.*)$/);
    const bullet = line.match(/^\s*[•◦]\s+(.*)$/) ?? line.match(/^\s*[-*]\s+(\S.*)$/);
    const next = quote ? "quote" : bullet ? "bullet" : "text";
    if (next !== kind) flush();
    kind = next;
    run.push(quote ? quote[1] : bullet ? bullet[1] : line);
  }
  flush();
  return nodes;
}

function inlineLines(list) {
  return list.flatMap((line, index) => (index ? [document.createTextNode("\n"), ...inline(line)] : inline(line)));
}

const INLINE = new RegExp(
  [
    "`([^`\\n]+)`", // 1 code
    "<([^<>\\n]+)>", // 2 reference
    "(?<![\\w*])\\*(?=[^\\s*])([^*\\n]*[^\\s*])\\*(?![\\w*])", // 3 bold
    "(?<![\\w_])_(?=[^\\s_])([^\\n]*?[^\\s_])_(?![\\w_])", // 4 italic
    "(?<![\\w~])~(?=[^\\s~])([^~\\n]*[^\\s~])~(?![\\w~])", // 5 strike
    ":([a-z0-9_+'-]+):", // 6 emoji
  ].join("|"),
  "g",
);

/** Inline mrkdwn: bold, italic, strike, code, links, mentions, dates, emoji. */
export function inline(text) {
  return splitBy(text, INLINE, (match) => {
    if (match[1] !== undefined) return h("code", {}, references(match[1]));
    if (match[2] !== undefined) return reference(match[2]);
    if (match[3] !== undefined) return h("strong", {}, inline(match[3]));
    if (match[4] !== undefined) return h("em", {}, inline(match[4]));
    if (match[5] !== undefined) return h("s", {}, inline(match[5]));
    return emojiNode(match[6]);
  });
}

/** Text in which only <…> means something, as inside code. */
function references(text) {
  return splitBy(text, /<([^<>\n]+)>/g, (match) => reference(match[1]));
}

function splitBy(text, pattern, make) {
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(pattern)) {
    const node = make(match);
    if (node === null) continue;
    if (match.index > from) nodes.push(...words(text.slice(from, match.index)));
    nodes.push(node);
    from = match.index + match[0].length;
  }
  if (from < text.length) nodes.push(...words(text.slice(from)));
  return nodes;
}

const CIRCLES = { "🔴": "red", "🟠": "orange", "🟡": "yellow", "🟢": "green", "🔵": "blue", "🟣": "purple", "⚪": "white" };

/** Text nodes; coloured circles are drawn, since they carry the meaning and not every machine has a font for them. */
function words(text) {
  return text.split(/([🔴🟠🟡🟢🔵🟣⚪])/u).filter((part) => part !== "").map((part) => (
    CIRCLES[part] ? h("span", { class: `circle ${CIRCLES[part]}`, role: "img", "aria-label": `${CIRCLES[part]} circle` }, part) : document.createTextNode(unescape(part))));
}

function reference(body) {
  const [target, label] = body.split("|", 2);
  if (target.startsWith("@")) return mention(target.slice(1), label);
  if (target.startsWith("#")) return h("span", { class: "mention" }, `#${names.channels.get(target.slice(1)) ?? label ?? target.slice(1)}`);
  if (target.startsWith("!")) return special(target.slice(1), label, body);
  return link(unescape(target), label ? inline(label) : null);
}

export function mention(id, label) {
  const name = names.users.get(id)?.name ?? label ?? id;
  return h("span", { class: id === names.me ? "mention me" : "mention" }, `@${name}`);
}

export function groupMention(id) {
  const group = names.groups.get(id);
  const mine = group?.users.includes(names.me);
  return h("span", { class: mine ? "mention me" : "mention" }, `@${group?.handle ?? id}`);
}

function special(command, label, body) {
  if (command.startsWith("date^")) {
    const fallback = body.split("|").slice(1).join("|");
    const [, seconds, format, target] = command.split("^");
    const shown = dateText(Number(seconds), format) ?? unescape(fallback);
    if (Number.isNaN(new Date(Number(seconds) * 1000).getTime())) return document.createTextNode(shown);
    const title = new Date(Number(seconds) * 1000).toLocaleString([], { dateStyle: "full", timeStyle: "long" });
    const time = h("time", { datetime: new Date(Number(seconds) * 1000).toISOString(), title }, shown);
    return target ? link(target, [time]) : time;
  }
  if (command.startsWith("subteam^")) return groupMention(command.slice(8));
  return h("span", { class: "mention me" }, `@${label ?? command}`);
}

/** A link that opens elsewhere; only web and mail addresses become links. */
export function link(url, children) {
  const content = children ?? [document.createTextNode(url)];
  if (!/^(https?:\/\/|mailto:)/i.test(url)) return h("span", {}, content);
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, content);
}
