// Toasts, confirm dialogs, and the picture viewer.

import { h, iconButton } from "./dom.js";
import { plainText, textObject } from "./mrkdwn.js";

export function toast(message) {
  const box = document.getElementById("toasts");
  const node = h("div", { class: "toast" }, h("p", {}, message), iconButton("close", "Dismiss", () => node.remove()));
  box.append(node);
  setTimeout(() => node.remove(), 8000);
}

/** Show a modal dialog until it closes; the focus then returns to where it was. */
export function showDialog(dialog) {
  const before = document.activeElement;
  document.body.append(dialog);
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (before?.isConnected) before.focus();
  });
  dialog.showModal();
}

/** Ask a Block Kit confirm object. Resolves to true or false. */
export function confirm(question) {
  return new Promise((resolve) => {
    const accept = h("button", {
      class: `button ${question.style === "danger" ? "danger solid" : "primary"}`, type: "button",
      on: { click: () => dialog.close("yes") },
    }, plainText(question.confirm?.text ?? "Yes"));
    const deny = h("button", { class: "button", type: "button", on: { click: () => dialog.close("no") } }, plainText(question.deny?.text ?? "Cancel"));
    const dialog = h("dialog", { class: "confirm", role: "alertdialog", "aria-labelledby": "confirm-title", "aria-describedby": "confirm-text" },
      h("div", { class: "dialog-head" }, h("h2", { id: "confirm-title" }, plainText(question.title.text))),
      h("div", { class: "dialog-body text", id: "confirm-text" }, textObject(question.text)),
      h("div", { class: "dialog-foot" }, deny, accept));
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"));
    showDialog(dialog);
    deny.focus();
  });
}

export function lightbox(url, title) {
  const dialog = h("dialog", { class: "lightbox", "aria-label": title },
    h("div", { class: "dialog-head" }, h("h2", {}, title), iconButton("close", "Close", () => dialog.close())),
    h("div", { class: "dialog-body" }, h("img", { src: url, alt: title })));
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  showDialog(dialog);
}

/** A menu below (or above) its button; closes on choice, Escape or a click elsewhere. */
export function openMenu(anchor, items, options = {}) {
  const opener = anchor.querySelector("button");
  if (anchor.querySelector(".menu")) {
    anchor.querySelector(".menu").closeMenu();
    return;
  }
  const close = () => {
    menu.remove();
    opener.setAttribute("aria-expanded", "false");
    document.removeEventListener("pointerdown", outside);
  };
  const outside = (event) => {
    if (!anchor.contains(event.target)) close();
  };
  const up = anchor.getBoundingClientRect().bottom > window.innerHeight - 260;
  const menu = h("div", { class: `menu ${options.class ?? ""} ${up ? "up" : ""}`, role: "menu" }, options.before ?? null,
    items.map((item) => h("button", {
      type: "button", role: "menuitem", class: item.danger ? "danger" : null,
      on: { click: () => { close(); opener.focus(); item.choose(); } },
    }, item.label)));
  menu.closeMenu = close;
  menu.addEventListener("keydown", (event) => {
    const entries = [...menu.querySelectorAll("button")];
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (event.key === "Escape") { close(); opener.focus(); event.stopPropagation(); }
    else if (step) entries.at((entries.indexOf(document.activeElement) + step) % entries.length).focus();
    else return;
    event.preventDefault();
  });
  anchor.append(menu);
  opener.setAttribute("aria-expanded", "true");
  document.addEventListener("pointerdown", outside);
  menu.querySelector("button").focus();
}
