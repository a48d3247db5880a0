// What the page knows, and what it does with the server.

import { fetchState, perform, upload } from "./api.js";
import { names } from "./mrkdwn.js";
import { toast } from "./overlay.js";

const seenKey = "workspace-seen";

export const store = {
  me: new URLSearchParams(location.search).get("user") ?? sessionStorage.getItem("workspace-user") ?? "",
  state: null, // the snapshot of the server
  place: { kind: "channel", id: null }, // or { kind: "home", tab: "home" | "messages" }
  thread: null, // { channel, ts }
  linked: null, // ts of the message that a link points to
  online: true,
  listeners: [],
};

let fetching = false;
let again = false;

/** Get the newest state; calls that overlap become one more round. */
export async function refresh() {
  if (fetching) {
    again = true;
    return;
  }
  fetching = true;
  try {
    do {
      again = false;
      await load();
    } while (again);
  } finally {
    fetching = false;
  }
}

async function load() {
  const user = store.me;
  try {
    const state = await fetchState(user);
    if (user === store.me) adopt(state);
  } catch (error) {
    if (error.code === "user_not_found" && user) become("");
    else if (error.code !== "offline") toast(error.message);
  }
}

export function become(user) {
  store.me = user;
  sessionStorage.setItem("workspace-user", user);
  refresh();
}

function adopt(state) {
  store.state = state;
  store.me = state.me; // without a choice, the server takes the first person
  names.me = state.me;
  names.users = new Map(state.users.map((user) => [user.id, { ...user, name: user.real_name, kind: "person" }]));
  names.users.set(state.bot.id, { ...state.bot, kind: "bot" });
  names.channels = new Map(state.channels.filter((channel) => !channel.is_im).map((channel) => [channel.id, channel.name]));
  names.groups = new Map(state.groups.map((group) => [group.id, group]));
  store.place.id ??= state.channels.find((channel) => !channel.is_im)?.id;
  changed();
}

export function changed() {
  for (const listener of store.listeners) listener();
}

export function person(message) {
  if (message.username) return { id: message.user, name: message.username, kind: "workspace" };
  return names.users.get(message.user) ?? { id: message.user, name: message.user, kind: "person" };
}

export function channel(id) {
  return store.state.channels.find((one) => one.id === id);
}

/** The channel that the main pane shows; null on the Home tab. */
export function currentChannel() {
  if (store.place.kind === "channel") return channel(store.place.id) ?? null;
  return store.place.tab === "messages" ? (store.state.channels.find((one) => one.is_im) ?? null) : null;
}

/** Do something as the current person; a refusal becomes a toast. Returns the answer, or null. */
export async function act(action, body) {
  try {
    return await perform(store.me, action, body);
  } catch (error) {
    toast(error.message);
    return null;
  }
}

export async function share(channelId, file, text, threadTs) {
  try {
    return await upload(store.me, channelId, file, text, threadTs);
  } catch (error) {
    toast(error.message);
    return null;
  }
}

export function goTo(place) {
  store.place = place;
  store.thread = null;
  if (place.kind === "home") act("home");
  changed();
}

export function openThread(channelId, ts) {
  store.thread = { channel: channelId, ts };
  changed();
}

export function closeThread() {
  store.thread = null;
  changed();
}

function seen() {
  return JSON.parse(sessionStorage.getItem(seenKey) ?? "{}");
}

/** Remember that the current person has seen this channel up to its last message. */
export function markSeen(one) {
  const last = one.messages.at(-1)?.ts;
  const all = seen();
  if (!last || all[`${store.me}/${one.id}`] === last) return;
  all[`${store.me}/${one.id}`] = last;
  sessionStorage.setItem(seenKey, JSON.stringify(all));
}

/** How many messages of others arrived in a channel since it was looked at. */
export function unread(one) {
  const last = seen()[`${store.me}/${one.id}`] ?? "";
  return one.messages.filter((message) => message.ts > last && message.user !== store.me && (!message.thread_ts || message.thread_ts === message.ts)).length;
}
