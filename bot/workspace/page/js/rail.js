// The left rail: workspace, channels, the app, and who you are.

import { avatar, h } from "./dom.js";
import { become, goTo, store, unread } from "./store.js";

export function renderRail(rail, close) {
  const { state, place } = store;
  const focused = rail.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const choose = (where) => () => {
    goTo(where);
    close();
  };
  rail.replaceChildren(
    h("div", { class: "rail-name" }, h("h1", {}, state.workspace)),
    h("div", { class: "rail-scroll" },
      h("h2", { id: "rail-channels" }, "Channels"),
      h("ul", { "aria-labelledby": "rail-channels" }, state.channels.filter((one) => !one.is_im).map((one) =>
        item({ key: one.id, mark: h("span", { class: "hash", "aria-hidden": "true" }, "#"), label: one.name,
          current: place.kind === "channel" && place.id === one.id, count: unread(one), choose: choose({ kind: "channel", id: one.id }) }))),
      h("h2", { id: "rail-apps" }, "Apps"),
      h("ul", { "aria-labelledby": "rail-apps" }, app(state, place, choose))),
    people(state, close));
  if (focused) rail.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function app(state, place, choose) {
  const messages = state.channels.find((one) => one.is_im);
  return item({
    key: "home", mark: avatar({ ...state.bot, kind: "bot" }, "small"), label: state.bot.name, current: place.kind === "home",
    count: messages ? unread(messages) : 0, choose: choose({ kind: "home", tab: "home" }),
    end: h("span", { class: state.app_connected ? "presence" : "presence off", title: state.app_connected ? "Connected" : "Not connected" }),
  });
}

function item({ key, mark, label, current, count, choose, end }) {
  return h("li", {}, h("button", {
    type: "button", class: `rail-item ${count && !current ? "unread" : ""}`, "aria-current": current ? "page" : null, dataset: { key }, on: { click: choose },
  }, mark, h("span", { class: "label" }, label),
  count && !current ? h("span", { class: "unread-count" }, String(count), h("span", { class: "visually-hidden" }, " unread")) : null, end ?? null));
}

function people(state, close) {
  return h("section", { class: "people", "aria-labelledby": "people-title" },
    h("h2", { id: "people-title" }, "Playing as"),
    h("ul", {}, state.users.map((user) => {
      const mine = user.id === state.me;
      return h("li", {}, h("button", {
        type: "button", class: "rail-item", "aria-pressed": String(mine), dataset: { key: user.id },
        on: { click: () => { become(user.id); close(); } },
      }, avatar({ id: user.id, name: user.real_name }, "small"),
      h("span", { class: "who" }, h("span", {}, user.real_name), user.title ? h("span", { class: "title" }, user.title) : null),
      mine ? h("span", { class: "you" }, "You") : null));
    })));
}
