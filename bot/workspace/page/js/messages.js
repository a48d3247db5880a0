// Messages: one row each, in a timeline that redraws only what changed.

import { append, avatar, h, icon, iconButton } from "./dom.js";
import { blocks, picture, textOnly } from "./blocks.js";
import { ago, clock, day, full, toDate } from "./dates.js";
import { emojiNode } from "./mrkdwn.js";
import { openMenu } from "./overlay.js";
import { act, openThread, person, store } from "./store.js";
import { names } from "./mrkdwn.js";

const GROUP_SECONDS = 300;
const lastSeen = new Map(); // per person and thread: ts of its newest message when it was shown
const QUICK = ["eyes", "white_check_mark", "+1", "tada"];

/** A list of messages. `where` is "channel" or "thread". */
export class Timeline {
  constructor(where, label) {
    this.where = where;
    this.rows = new Map();
    this.list = h("div", { class: "timeline", role: "log", "aria-label": label, "aria-live": "polite" });
    this.more = h("button", { type: "button", class: "button newer", hidden: true, on: { click: () => this.toEnd() } }, "New messages ↓");
    this.node = h("div", { class: "scroll", tabindex: "-1", on: { scroll: () => this.scrolled() } }, this.list, this.more);
    this.identity = null;
    this.following = true; // the end stays in view while things arrive, pictures load and panes open
    const observer = new ResizeObserver(() => { if (this.following) this.toEnd(); });
    observer.observe(this.node);
    observer.observe(this.list);
  }

  /** Show these messages of a channel. `identity` says which channel or thread this is. */
  show(identity, channelId, messages, lead) {
    const fresh = this.identity !== identity;
    const arrived = fresh ? [] : messages.filter((message) => !this.rows.has(message.ts));
    const mine = arrived.some((message) => message.is_ephemeral || message.user === store.me);
    if (fresh) this.rows.clear();
    this.identity = identity;
    const wanted = [];
    const kept = new Map();
    let before = null;
    for (const message of messages) {
      if (this.where === "channel" && (!before || day(toDate(before.ts)) !== day(toDate(message.ts)))) {
        wanted.push(this.divider(message, kept));
        before = null;
      }
      const compact = Boolean(before) && follows(before, message);
      wanted.push(this.row(channelId, message, compact, kept));
      if (this.where === "thread" && message.ts === identity.split("/")[1]) wanted.push(rule(messages.filter((one) => !one.is_ephemeral).length - 1));
      before = message;
    }
    this.rows = kept;
    this.place([...(lead ? [this.leadNode(lead)] : []), ...wanted]);
    if (fresh && this.where === "thread") this.toFirstUnread(`${channelId}/${identity}`, messages);
    else if (fresh || mine || this.following) this.toEnd();
    else if (arrived.length) this.more.hidden = false;
    if (this.where === "thread") lastSeen.set(`${channelId}/${identity}`, messages.at(-1).ts);
  }

  /** A thread opens where its reader left off. */
  toFirstUnread(key, messages) {
    const next = messages.slice(1).find((message) => message.ts > (lastSeen.get(key) ?? ""));
    if (!next) return this.toEnd();
    this.following = false;
    const node = next === messages[1] ? this.list.querySelector(".replies-rule") : this.rows.get(next.ts).node;
    this.node.scrollTop = node.offsetTop - this.list.offsetTop - 8;
    this.scrolled(); // a thread that fits is at its end too
  }

  toEnd() {
    this.following = true;
    this.more.hidden = true;
    this.node.scrollTop = this.node.scrollHeight;
  }

  scrolled() {
    this.following = this.node.scrollHeight - this.node.scrollTop - this.node.clientHeight < 80;
    if (this.following) this.more.hidden = true;
  }

  leadNode(lead) {
    if (this.lead?.key !== lead.key) this.lead = { key: lead.key, node: lead.make() };
    return this.lead.node;
  }

  divider(message, kept) {
    const key = `day-${day(toDate(message.ts))}`;
    const found = this.rows.get(key) ?? { node: h("div", { class: "day" }, day(toDate(message.ts))) };
    kept.set(key, found);
    return found.node;
  }

  row(channelId, message, compact, kept) {
    const age = message.reply_count && this.where === "channel" ? ago(toDate(message.latest_reply)) : "";
    const signature = JSON.stringify([message, compact, store.me, names.users.size, age]);
    let found = this.rows.get(message.ts);
    if (found?.signature !== signature) {
      const focus = found ? focusOf(found.node) : null;
      const node = row(channelId, message, compact, this.where);
      found = { signature, node, focus };
    }
    kept.set(message.ts, found);
    return found.node;
  }

  /** Put the nodes into the list in order, touching only what differs, so that focus and inputs survive. */
  place(nodes) {
    const wanted = new Set(nodes);
    for (const child of [...this.list.children]) if (!wanted.has(child)) child.remove();
    nodes.forEach((node, index) => {
      if (this.list.children[index] !== node) this.list.insertBefore(node, this.list.children[index] ?? null);
    });
    for (const entry of this.rows.values()) {
      if (!entry.focus) continue;
      (entry.node.querySelector(entry.focus) ?? entry.node).focus();
      entry.focus = null;
    }
    markOpenThread(this.list);
  }
}

function markOpenThread(list) {
  for (const link of list.querySelectorAll(".thread-link")) link.setAttribute("aria-expanded", String(link.dataset.ts === store.thread?.ts));
}

function focusOf(node) {
  const active = document.activeElement;
  if (!node.contains(active)) return null;
  return active.dataset.action ? `[data-action="${CSS.escape(active.dataset.action)}"][data-block="${CSS.escape(active.dataset.block)}"]` : ".tools button";
}

function follows(before, message) {
  return before.user === message.user && before.username === message.username && !before.is_ephemeral === !message.is_ephemeral &&
    Number(message.ts) - Number(before.ts) < GROUP_SECONDS && !before.reply_count && !message.blocks && !before.blocks;
}

function rule(count) {
  return h("div", { class: "replies-rule" }, count === 0 ? "No replies yet" : count === 1 ? "1 reply" : `${count} replies`);
}

function row(channelId, message, compact, where) {
  const author = person(message);
  const time = h("time", { datetime: toDate(message.ts).toISOString(), title: full(message.ts) }, clock(message.ts));
  const body = h("div", { class: "message-body" },
    message.is_ephemeral ? h("p", { class: "private" }, icon("eye"), "Only visible to you") : null,
    compact ? null : h("div", { class: "byline" }, h("span", { class: "author" }, author.name), author.kind === "bot" ? h("span", { class: "badge" }, "App") : null, time));
  append(body, [content(channelId, message), reactions(channelId, message), where === "channel" ? threadLink(channelId, message) : null]);
  return h("article", {
    class: ["message", compact ? "compact" : "", message.is_ephemeral ? "ephemeral" : "", store.linked === message.ts ? "linked" : ""].filter(Boolean).join(" "),
    "aria-label": `${author.name}, ${clock(message.ts)}`, tabindex: "-1", dataset: { ts: message.ts },
  }, compact ? h("span", { class: "gutter-time", "aria-hidden": "true" }, clock(message.ts)) : avatar(author), body, tools(channelId, message, where));
}

function content(channelId, message) {
  if (message.subtype === "tombstone") return h("div", { class: "text tombstone" }, message.text);
  const nodes = [];
  if (message.blocks) nodes.push(blocks(messageForm(channelId, message), message.blocks));
  else if (message.text) nodes.push(textOnly(message.text));
  for (const attachment of message.attachments ?? []) {
    if (attachment.blocks) nodes.push(h("blockquote", {}, blocks(messageForm(channelId, message), attachment.blocks)));
    else nodes.push(h("blockquote", {}, textOnly(attachment.text ?? attachment.fallback ?? "")));
  }
  if (message.edited) nodes.push(h("span", { class: "edited", title: full(message.edited.ts) }, "(edited)"));
  if (message.files) nodes.push(h("div", { class: "files" }, message.files.map(file)));
  return nodes;
}

function file(one) {
  const url = `/person/files/${one.id}`;
  if (/^image\/(png|jpeg|gif|webp)$/.test(one.mimetype)) return picture(url, one.alt_txt || one.title, one.title);
  return h("a", { class: "file-card", href: `${url}?download=1`, download: one.name },
    h("span", { class: "kind", "aria-hidden": "true" }, one.filetype.slice(0, 4)),
    h("span", {}, h("span", { class: "name" }, one.title), h("span", { class: "size" }, size(one.size))));
}

function size(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${(bytes / 1e3).toFixed(1)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** The inputs of a message: what is picked goes to the app at once. */
function messageForm(channelId, message) {
  const picked = {};
  const key = (block, spec) => `${block.block_id}/${spec.action_id}`;
  return {
    get: (block, spec) => picked[key(block, spec)] ?? initialValue(spec),
    set: (block, spec, value) => { picked[key(block, spec)] = value; },
    act: (block, spec, value) => {
      const state = {};
      for (const [path, held] of Object.entries(picked)) {
        const [blockId, actionId] = path.split("/");
        (state[blockId] ??= {})[actionId] = held;
      }
      return act("act", { channel: channelId, ts: message.ts, block_id: block.block_id, action_id: spec.action_id, value, state });
    },
  };
}

export function initialValue(spec) {
  if (spec.initial_option) return spec.initial_option.value;
  if (spec.initial_options) return spec.initial_options.map((option) => option.value);
  return spec.initial_value ?? spec.initial_user ?? spec.initial_users ?? spec.initial_date ?? spec.initial_time ?? null;
}

function reactions(channelId, message) {
  if (!message.reactions) return null;
  return h("div", { class: "reactions" }, message.reactions.map((reaction) => h("button", {
    type: "button", class: "reaction", "aria-pressed": String(reaction.users.includes(store.me)),
    title: `${reaction.users.map((id) => names.users.get(id)?.name ?? id).join(", ")} reacted with :${reaction.name}:`,
    on: { click: () => act("react", { channel: channelId, ts: message.ts, name: reaction.name }) },
  }, emojiNode(reaction.name) ?? `:${reaction.name}:`, String(reaction.count))));
}

function threadLink(channelId, message) {
  if (!message.reply_count) return null;
  const faces = message.reply_users.slice(0, 4).map((id) => avatar(names.users.get(id) ?? { id, name: id }, "small"));
  return h("button", { type: "button", class: "thread-link", dataset: { ts: message.ts }, "aria-expanded": "false", on: { click: () => openThread(channelId, message.ts) } },
    h("span", { class: "avatars" }, faces), h("b", {}, message.reply_count === 1 ? "1 reply" : `${message.reply_count} replies`),
    h("span", { class: "when" }, `last reply ${ago(toDate(message.latest_reply))}`));
}

function tools(channelId, message, where) {
  if (message.is_ephemeral || message.subtype === "tombstone") return null;
  const more = h("span", { class: "overflow" }, iconButton("more", "More", () => openMenu(more, menuItems(channelId, message)), { "aria-haspopup": "menu", "aria-expanded": "false" }));
  const react = h("span", { class: "overflow" }, iconButton("smile", "Add a reaction", () => openMenu(react, QUICK.map((name) => ({
    label: [emojiNode(name), ` :${name}:`], choose: () => act("react", { channel: channelId, ts: message.ts, name }),
  }))), { "aria-haspopup": "menu", "aria-expanded": "false" }));
  const reply = where === "channel" ? iconButton("reply", "Reply in thread", () => openThread(channelId, message.ts)) : null;
  return h("div", { class: "tools" }, react, reply, more);
}

function menuItems(channelId, message) {
  const shortcuts = store.state.shortcuts.filter((one) => one.on_message).map((one) => ({
    label: one.name, choose: () => act("shortcut", { callback_id: one.callback_id, channel: channelId, ts: message.ts }),
  }));
  return [
    ...shortcuts,
    { label: "Copy link", choose: () => navigator.clipboard?.writeText(permalink(channelId, message)) },
    { label: "Delete message", danger: true, choose: () => act("delete", { channel: channelId, ts: message.ts }) },
  ];
}

function permalink(channelId, message) {
  const thread = message.thread_ts && message.thread_ts !== message.ts ? `?thread_ts=${message.thread_ts}` : "";
  return `${location.origin}/archives/${channelId}/p${message.ts.replace(".", "")}${thread}`;
}
