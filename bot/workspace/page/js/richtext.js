// The `rich_text` block.

import { h } from "./dom.js";
import { dateText } from "./dates.js";
import { emojiNode, groupMention, link, mention, names } from "./mrkdwn.js";

export function richText(block) {
  return block.elements.map(part);
}

function part(element) {
  const children = () => element.elements.map(leaf);
  if (element.type === "rich_text_list") {
    const node = h(element.style === "ordered" ? "ol" : "ul", {}, element.elements.map((item) => h("li", {}, item.elements.map(leaf))));
    if (element.indent) node.style.marginLeft = `${element.indent * 22}px`;
    return node;
  }
  if (element.type === "rich_text_preformatted") return h("pre", {}, h("code", {}, children()));
  if (element.type === "rich_text_quote") return h("blockquote", { class: "text" }, children());
  return h("div", { class: "text" }, children());
}

function leaf(element) {
  if (element.type === "text") return styled(document.createTextNode(element.text), element.style);
  if (element.type === "link") return styled(link(element.url, [document.createTextNode(element.text || element.url)]), element.style);
  if (element.type === "emoji") return emojiNode(element.name) ?? document.createTextNode(`:${element.name}:`);
  if (element.type === "user") return mention(element.user_id);
  if (element.type === "usergroup") return groupMention(element.usergroup_id);
  if (element.type === "channel") return h("span", { class: "mention" }, `#${names.channels.get(element.channel_id) ?? element.channel_id}`);
  if (element.type === "broadcast") return h("span", { class: "mention me" }, `@${element.range}`);
  if (element.type === "date") return document.createTextNode(dateText(element.timestamp, element.format) ?? element.fallback ?? "");
  return document.createTextNode(element.value ?? "");
}

function styled(node, style = {}) {
  let shown = node;
  if (style.code) shown = h("code", {}, shown);
  if (style.bold) shown = h("strong", {}, shown);
  if (style.italic) shown = h("em", {}, shown);
  if (style.strike) shown = h("s", {}, shown);
  return shown;
}
