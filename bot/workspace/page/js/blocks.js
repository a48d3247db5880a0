// Block Kit blocks as nodes.

import { h } from "./dom.js";
import { element } from "./elements.js";
import { markdown } from "./markdown.js";
import { mrkdwn, plainText, textObject } from "./mrkdwn.js";
import { lightbox } from "./overlay.js";
import { richText } from "./richtext.js";

export function blocks(form, list, errors = {}) {
  return h("div", { class: "blocks" }, list.map((block) => drawn(form, block, errors)));
}

/** One block; what a broken one holds must not take the page down. */
function drawn(form, block, errors) {
  try {
    return BLOCKS[block.type]?.(form, block, errors) ?? unknown(block);
  } catch (error) {
    console.error(error);
    return unknown(block);
  }
}

function unknown(block) {
  return h("p", { class: "text tombstone" }, `A ${block.type} block cannot be drawn here.`);
}

function section(form, block) {
  const short = block.fields?.every((field) => field.text.length < 60);
  return h("div", { class: "block-section" },
    h("div", { class: "main" },
      block.text ? h("div", { class: "text" }, textObject(block.text)) : null,
      block.fields ? h("div", { class: short ? "fields short" : "fields" }, block.fields.map((field) => h("div", { class: "text" }, textObject(field)))) : null),
    block.accessory ? h("div", { class: "accessory" }, block.accessory.type === "image" ? thumbnail(block.accessory) : element(form, block, block.accessory)) : null);
}

function header(form, block) {
  return h("h3", { class: "block-header" }, plainText(block.text.text));
}

function context(form, block) {
  return h("div", { class: "block-context" }, block.elements.map((item) => (item.type === "image" ? thumbnail(item) : h("span", { class: "text" }, textObject(item)))));
}

function actions(form, block) {
  return h("div", { class: "block-actions" }, block.elements.map((item) => element(form, block, item)));
}

function input(form, block, errors) {
  const id = `field-${block.block_id}`;
  const problem = errors[block.block_id];
  const described = [block.hint ? `${id}-hint` : null, problem ? `${id}-error` : null].filter(Boolean).join(" ");
  const control = element(form, block, block.element, {
    labelled: true,
    aria: { "aria-labelledby": `${id}-label`, "aria-describedby": described || null, "aria-invalid": problem ? "true" : null, "aria-required": block.optional ? null : "true" },
  });
  return h("div", { class: "field", dataset: { field: block.block_id } },
    h("span", { class: "label", id: `${id}-label`, on: { click: () => (control.matches("fieldset") ? control.querySelector("input") : control)?.focus() } },
      plainText(block.label.text), block.optional ? h("span", { class: "optional" }, " (optional)") : null),
    control,
    problem ? h("p", { class: "error", id: `${id}-error`, role: "alert" }, plainText(problem)) : null,
    block.hint ? h("p", { class: "hint", id: `${id}-hint` }, plainText(block.hint.text)) : null);
}

function imageBlock(form, block) {
  return picture(pictureUrl(block), block.alt_text, block.title ? block.title.text : null);
}

/** A picture that grows when it is clicked. Pictures from elsewhere are not fetched: nothing leaves this machine. */
export function picture(url, alt, title) {
  const caption = title ? h("figcaption", {}, plainText(title)) : null;
  if (url === null) return h("figure", { class: "picture" }, caption, h("div", { class: "elsewhere" }, `${alt} (a picture from the internet is not loaded here)`));
  return h("figure", { class: "picture" }, caption,
    h("button", { type: "button", "aria-label": `Enlarge: ${alt}`, on: { click: () => lightbox(url, title || alt) } },
      h("img", { src: url, alt, loading: "lazy" })));
}

function thumbnail(image) {
  const url = pictureUrl(image);
  return url ? h("img", { src: url, alt: image.alt_text }) : h("span", {}, `[${image.alt_text}]`);
}

function pictureUrl(image) {
  if (image.slack_file?.id) return `/person/files/${image.slack_file.id}`;
  const url = image.slack_file?.url ?? image.image_url;
  return url.startsWith(`${location.origin}/files-pri/`) ? url : null;
}

function table(form, block) {
  const settings = block.column_settings ?? [];
  const style = (index) => [settings[index]?.align, settings[index]?.is_wrapped ? "wrap" : null].filter((name) => name && name !== "left").join(" ") || null;
  const cell = (value) => (value.type === "rich_text" ? h("div", { class: "rich" }, richText(value)) : value.text);
  const row = (cells, tag) => h("tr", {}, cells.map((value, index) => h(tag, { class: style(index), scope: tag === "th" ? "col" : null }, cell(value))));
  const [head, ...body] = block.rows;
  return h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Table" },
    h("table", {}, h("thead", {}, row(head, "th")), h("tbody", {}, body.map((cells) => row(cells, "td")))));
}

const BLOCKS = {
  section,
  header,
  context,
  actions,
  input,
  table,
  image: imageBlock,
  divider: () => h("hr", { class: "block-divider" }),
  markdown: (form, block) => h("div", { class: "markdown" }, markdown(block.text)),
  rich_text: (form, block) => h("div", { class: "rich" }, richText(block)),
};

/** The body of a message without blocks. */
export function textOnly(text) {
  return h("div", { class: "text" }, mrkdwn(text));
}
