// The main pane (a channel, or the app's Home) and the thread pane.

import { avatar, h, iconButton } from "./dom.js";
import { blocks } from "./blocks.js";
import { Composer } from "./composer.js";
import { Timeline } from "./messages.js";
import { viewForm } from "./modal.js";
import { channel, closeThread, currentChannel, goTo, markSeen, store } from "./store.js";
import { names } from "./mrkdwn.js";

/** The pane in the middle. */
export class MainPane {
  constructor(node, openRail) {
    this.node = node;
    this.openRail = openRail;
    this.timeline = new Timeline("channel", "Messages");
    this.composer = new Composer(() => this.target(), "composer-text");
    this.head = h("header", { class: "pane-head" });
    this.tabs = h("div", { class: "tabs", role: "tablist", hidden: true });
    this.home = h("div", { class: "scroll", hidden: true });
    node.append(this.head, this.tabs, this.home, this.timeline.node, this.composer.node);
  }

  target() {
    const one = currentChannel();
    const label = one ? (one.is_im ? `Message ${one.name}` : `Message #${one.name}`) : "Message";
    return { channel: one?.id, threadTs: null, label };
  }

  render() {
    const one = currentChannel();
    const isApp = store.place.kind === "home";
    this.renderHead(isApp ? null : one);
    this.renderTabs(isApp);
    const showsHome = isApp && !(store.place.tab === "messages" && one);
    this.home.hidden = !showsHome;
    this.timeline.node.hidden = showsHome;
    this.composer.node.hidden = showsHome || one?.is_im === true; // the manifest makes the app's messages read-only
    if (showsHome) this.renderHome();
    else if (one) {
      const top = one.messages.filter((message) => !message.thread_ts || message.thread_ts === message.ts || message.subtype === "thread_broadcast");
      this.timeline.show(`${store.me}/${one.id}`, one.id, top, { key: one.id, make: () => beginning(one) });
      this.composer.update();
      markSeen(one);
    }
  }

  renderHead(one) {
    const { state } = store;
    const me = names.users.get(store.me);
    const key = JSON.stringify([one?.id, one?.members.length, state.app_connected, store.online, store.me]);
    if (this.headKey === key) return;
    this.headKey = key;
    const title = one
      ? [h("h2", {}, `# ${one.name}`), h("span", { class: "sub" }, `${one.members.length} members`)]
      : [h("h2", {}, state.bot.name), h("span", { class: "sub" }, "App")];
    this.head.replaceChildren(
      iconButton("menu", "Channels and people", this.openRail, { class: "menu-button" }),
      one ? "" : avatar({ ...state.bot, kind: "bot" }, "small"),
      h("div", { class: "grow" }, title),
      status(),
      h("button", { class: "me-chip", type: "button", "aria-label": `You are ${me.name}. Change`, on: { click: this.openRail } }, avatar(me, "small")));
  }

  renderTabs(isApp) {
    this.tabs.hidden = !isApp;
    if (!isApp) return;
    const tab = (id, label) => h("button", {
      type: "button", role: "tab", "aria-selected": String((store.place.tab ?? "home") === id),
      on: { click: () => goTo({ kind: "home", tab: id }) },
    }, label);
    this.tabs.replaceChildren(tab("home", "Home"), tab("messages", "Messages"));
  }

  renderHome() {
    const { home, bot } = store.state;
    const key = JSON.stringify([store.me, store.place.tab, home?.id, home?.hash]);
    if (this.homeKey === key) return;
    this.homeKey = key;
    const empty = store.place.tab === "messages" ? `No direct messages with ${bot.name} yet.` : `${bot.name} has not published a Home tab for you yet.`;
    const shown = home && store.place.tab !== "messages" ? blocks(viewForm(home, {}), home.blocks) : h("p", { class: "empty" }, empty);
    this.home.replaceChildren(h("div", { class: "home" }, shown));
  }
}

function status() {
  const [text, off] = !store.online ? ["Reconnecting…", true] : store.state.app_connected ? [`${store.state.bot.name} is connected`, false] : [`${store.state.bot.name} is not connected`, true];
  return h("span", { class: "status", title: text }, h("span", { class: off ? "presence off" : "presence", "aria-hidden": "true" }), h("span", { class: "status-text" }, text));
}

function beginning(one) {
  const { command, bot } = store.state;
  if (one.is_im) return h("div", { class: "start" }, h("h3", {}, one.name), h("p", {}, `What ${bot.name} writes to you alone. It reads channels, not this tab.`));
  return h("div", { class: "start" }, h("h3", {}, `# ${one.name}`),
    h("p", {}, `This is where the channel begins. ${bot.name} posts here by itself; type `, h("kbd", {}, command), ` to ask it something, or mention `, h("span", { class: "mention" }, `@${bot.name}`), "."));
}

/** The pane at the right: one thread. */
export class ThreadPane {
  constructor(node) {
    this.node = node;
    this.timeline = new Timeline("thread", "Thread");
    this.composer = new Composer(() => ({ channel: store.thread?.channel, threadTs: store.thread?.ts, label: "Reply in the thread" }), "thread-text");
    this.title = h("span", { class: "sub" });
    node.append(
      h("header", { class: "pane-head" }, h("div", { class: "grow" }, h("h2", {}, "Thread"), this.title), iconButton("close", "Close the thread", () => this.close())),
      this.timeline.node, this.composer.node);
    node.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.close();
    });
  }

  close() {
    const ts = store.thread?.ts;
    closeThread();
    document.querySelector(`#channel .thread-link[data-ts="${ts}"]`)?.focus();
  }

  render() {
    const { thread } = store;
    const one = thread && channel(thread.channel);
    const parent = one?.messages.find((message) => message.ts === thread.ts);
    const opened = this.node.hidden && parent;
    this.node.hidden = !parent;
    if (!parent) return;
    this.title.textContent = one.is_im ? one.name : `# ${one.name}`;
    const replies = one.messages.filter((message) => message.thread_ts === thread.ts && message.ts !== thread.ts);
    this.timeline.show(`${store.me}/${thread.ts}`, one.id, [parent, ...replies]);
    this.composer.update();
    if (opened) this.composer.text.focus({ preventScroll: true });
  }
}
