// Modals: the top one of the person's stack, as a dialog with a form.

import { h, iconButton } from "./dom.js";
import { blocks } from "./blocks.js";
import { plainValue } from "./elements.js";
import { plainText } from "./mrkdwn.js";
import { act, store } from "./store.js";

let shown = null; // { id, hash, dialog, values, errors }
let returnTo = null;

/** Make the page show what the server says is open. */
export function syncModal() {
  const stack = store.state.modals;
  const view = stack.at(-1);
  if (!view) {
    close();
    return;
  }
  if (shown?.id === view.id && shown.hash === view.hash && shown.depth === stack.length) return;
  const values = shown?.id === view.id ? shown.values : {};
  draw(view, stack.length, values, {});
}

function close() {
  if (!shown) return;
  const { dialog } = shown;
  shown = null;
  dialog.close();
  dialog.remove();
  if (returnTo?.isConnected) returnTo.focus();
  returnTo = null;
}

function draw(view, depth, values, errors, problem = null) {
  const active = document.activeElement;
  returnTo ??= active;
  const focus = shown?.id === view.id && active?.closest("[data-field]")?.dataset.field;
  shown?.dialog.remove();
  const submit = view.submit ? h("button", { class: "button primary", type: "submit" }, plainText(view.submit.text)) : null;
  const dialog = h("dialog", { class: "modal", "aria-labelledby": "modal-title" },
    h("form", { novalidate: true, on: { submit: (event) => { event.preventDefault(); send(submit); } } },
      h("div", { class: "dialog-head" },
        depth > 1 ? iconButton("back", "Back", () => dismiss(false)) : null,
        h("h2", { id: "modal-title" }, plainText(view.title.text)),
        iconButton("close", "Close", () => dismiss(true))),
      h("div", { class: "dialog-body" },
        problem ? h("p", { class: "dialog-problem", role: "alert" }, problem) : null,
        blocks(viewForm(view, values), view.blocks, errors)),
      h("div", { class: "dialog-foot" },
        h("button", { class: "button", type: "button", on: { click: () => dismiss(false) } }, plainText(view.close?.text ?? (submit ? "Cancel" : "Close"))), submit)));
  dialog.addEventListener("cancel", (event) => {
    event.preventDefault();
    dismiss(false);
  });
  document.body.append(dialog);
  dialog.showModal();
  shown = { id: view.id, hash: view.hash, depth, dialog, values, view };
  firstFocus(dialog, errors, focus);
}

function firstFocus(dialog, errors, focus) {
  const wanted = Object.keys(errors)[0] ?? focus;
  const field = wanted ? dialog.querySelector(`[data-field="${CSS.escape(wanted)}"]`) : dialog.querySelector(".field");
  const target = field?.querySelector("input, select, textarea") ?? dialog.querySelector(".dialog-foot .primary") ?? dialog.querySelector(".dialog-foot button");
  target?.focus();
}

function dismiss(all) {
  act("close", { all });
}

async function send(button) {
  if (!button || button.getAttribute("aria-busy") === "true") return;
  const { view, values, depth } = shown;
  button.setAttribute("aria-busy", "true");
  const answer = await act("submit", { view_id: view.id, values });
  button.removeAttribute("aria-busy");
  if (shown?.view !== view) return;
  if (answer === null) draw(view, depth, values, {}, "That did not go through. Nothing was changed; please try again.");
  else if (Object.keys(answer.errors).length) draw(view, depth, values, answer.errors);
}

/** The form of a modal or Home tab: values are kept until it is submitted or an element is used. */
export function viewForm(view, values) {
  return {
    get: (block, spec) => (block.block_id in values && spec.action_id in values[block.block_id]
      ? values[block.block_id][spec.action_id]
      : plainValue(view.state.values[block.block_id]?.[spec.action_id])),
    set: (block, spec, value) => { (values[block.block_id] ??= {})[spec.action_id] = value; },
    act: (block, spec, value) => act("act", { view_id: view.id, block_id: block.block_id, action_id: spec.action_id, value, state: values }),
  };
}
