// Interactive elements of Block Kit. Every element reports its plain value to its form.

import { h, icon } from "./dom.js";
import { names, plainText, textObject, unescape } from "./mrkdwn.js";
import { confirm, openMenu } from "./overlay.js";

/**
 * A form remembers what was put into elements and sends what is used.
 * `get(block, element)`, `set(block, element, value)`, `act(block, element, value)` -> Promise.
 */

export function element(form, block, spec, options = {}) {
  const make = ELEMENTS[spec.type];
  const node = make(form, block, spec, options);
  node.dataset.action = spec.action_id;
  node.dataset.block = block.block_id;
  return node;
}

async function use(form, block, spec, value, busy) {
  if (spec.confirm && !(await confirm(spec.confirm))) return false;
  busy?.setAttribute("aria-busy", "true");
  try {
    await form.act(block, spec, value);
  } finally {
    busy?.removeAttribute("aria-busy");
  }
  return true;
}

/** Whether a change of this element is sent at once. */
function dispatches(block) {
  return block.type !== "input" || block.dispatch_action === true;
}

function changed(form, block, spec, value) {
  form.set(block, spec, value);
  if (dispatches(block)) use(form, block, spec, value);
}

function button(form, block, spec) {
  const props = { class: `button ${spec.style ?? ""}`.trim(), "aria-label": spec.accessibility_label };
  if (spec.url && /^https?:/i.test(spec.url)) {
    return h("a", {
      ...props, href: spec.url, target: "_blank", rel: "noopener noreferrer", on: { click: () => form.act(block, spec, null) },
    }, plainText(spec.text.text));
  }
  const node = h("button", {
    ...props, type: "button",
    on: {
      click: () => {
        if (node.getAttribute("aria-busy") !== "true") use(form, block, spec, spec.value ?? null, node);
      },
    },
  }, plainText(spec.text.text));
  return node;
}

function overflow(form, block, spec) {
  const opener = h("button", { class: "button", type: "button", "aria-label": "More actions", "aria-haspopup": "menu", "aria-expanded": "false" }, icon("more"));
  opener.firstChild.style.width = "18px";
  const anchor = h("span", { class: "overflow" }, opener);
  opener.addEventListener("click", () =>
    openMenu(anchor, spec.options.map((option) => ({
      label: plainText(option.text.text), choose: () => use(form, block, spec, option.value, opener),
    }))));
  return anchor;
}

function dropdown(choices) {
  return (form, block, spec, options) => {
    const current = form.get(block, spec);
    const empty = h("option", { value: "" }, plainLabel(spec.placeholder) || "Choose…");
    const node = h("select", { class: "control", ...options.aria, "aria-label": options.labelled ? null : plainLabel(spec.placeholder) || "Choose" }, empty, choices(spec));
    node.value = current ?? "";
    node.addEventListener("change", async () => {
      form.set(block, spec, node.value || null);
      if (dispatches(block) && !(await use(form, block, spec, node.value || null))) {
        node.value = current ?? "";
        form.set(block, spec, current);
      }
    });
    return node;
  };
}

function plainLabel(object) {
  return object ? plainText(object.text).map((node) => node.textContent).join("") : "";
}

function staticOptions(spec) {
  const one = (option) => h("option", { value: option.value }, plainLabel(option.text));
  if (!spec.option_groups) return spec.options.map(one);
  return spec.option_groups.map((group) => h("optgroup", { label: plainLabel(group.label) }, group.options.map(one)));
}

function userOptions() {
  return [...names.users.values()].filter((user) => user.kind !== "bot").map((user) => h("option", { value: user.id }, user.name));
}

function channelOptions() {
  return [...names.channels].map(([id, name]) => h("option", { value: id }, `#${name}`));
}

function allOptions(spec) {
  return spec.options ?? spec.option_groups.flatMap((group) => group.options);
}

function peopleAsOptions() {
  return [...names.users.values()].filter((user) => user.kind !== "bot").map((user) => ({ value: user.id, text: { type: "plain_text", text: user.name } }));
}

/** Check boxes for several choices, radio buttons for one. */
function choices(type, boxed, optionsOf) {
  return (form, block, spec, options) => {
    const current = new Set([form.get(block, spec)].flat().filter(Boolean));
    const group = `${block.block_id}-${spec.action_id}-${Math.random()}`;
    const node = h("fieldset", { class: boxed ? "choices boxed" : "choices", ...options.aria }, optionsOf(spec).map((option) => {
      const input = h("input", { type, name: group, checked: current.has(option.value) });
      input.addEventListener("change", () => {
        if (type === "radio") changed(form, block, spec, option.value);
        else {
          if (input.checked) current.add(option.value);
          else current.delete(option.value);
          changed(form, block, spec, [...current]);
        }
      });
      return h("label", { class: "choice" }, input, h("span", {}, textObject(option.text),
        option.description ? h("span", { class: "description" }, textObject(option.description)) : null));
    }));
    return node;
  };
}

function textInput(type) {
  return (form, block, spec, options) => {
    const props = {
      class: "control", ...options.aria, maxlength: spec.max_length, placeholder: spec.placeholder ? unescape(spec.placeholder.text) : null,
      autofocus: spec.focus_on_load,
    };
    const node = spec.multiline ? h("textarea", { ...props, rows: 4 }) : h("input", { ...props, type, autocomplete: "off", step: spec.is_decimal_allowed ? "any" : null });
    node.value = form.get(block, spec) ?? "";
    node.addEventListener("input", () => form.set(block, spec, node.value || null));
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && block.dispatch_action && !spec.multiline) {
        event.preventDefault();
        use(form, block, spec, node.value || null);
      }
    });
    return node;
  };
}

function picker(type) {
  return (form, block, spec, options) => {
    const node = h("input", { class: "control", type, ...options.aria, "aria-label": options.labelled ? null : plainLabel(spec.placeholder) || type });
    node.value = form.get(block, spec) ?? "";
    node.addEventListener("change", () => changed(form, block, spec, node.value || null));
    return node;
  };
}

const ELEMENTS = {
  button,
  overflow,
  static_select: dropdown(staticOptions),
  users_select: dropdown(userOptions),
  channels_select: dropdown(channelOptions),
  conversations_select: dropdown(channelOptions),
  multi_static_select: choices("checkbox", true, allOptions),
  multi_users_select: choices("checkbox", true, peopleAsOptions),
  checkboxes: choices("checkbox", false, allOptions),
  radio_buttons: choices("radio", false, allOptions),
  plain_text_input: textInput("text"),
  number_input: textInput("number"),
  email_text_input: textInput("email"),
  url_text_input: textInput("url"),
  datepicker: picker("date"),
  timepicker: picker("time"),
};

/** The plain value in an entry of Slack's `state.values`. */
export function plainValue(state) {
  for (const [key, value] of Object.entries(state ?? {})) {
    if (key === "type") continue;
    if (key === "selected_option") return value?.value ?? null;
    if (key === "selected_options") return value.map((option) => option.value);
    return value;
  }
  return null;
}
