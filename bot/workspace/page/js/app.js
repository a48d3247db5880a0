// Starts the page and redraws it when something changed.

import { listen } from "./api.js";
import { syncModal } from "./modal.js";
import { MainPane, ThreadPane } from "./panes.js";
import { renderRail } from "./rail.js";
import { changed, refresh, store } from "./store.js";

const rail = document.getElementById("rail");
const scrim = document.getElementById("scrim");
const main = new MainPane(document.getElementById("channel"), openRail);
const thread = new ThreadPane(document.getElementById("thread"));

function openRail() {
  rail.classList.add("open");
  scrim.hidden = false;
  rail.querySelector("button")?.focus();
}

function closeRail() {
  rail.classList.remove("open");
  scrim.hidden = true;
}

scrim.addEventListener("click", closeRail);
rail.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeRail();
});

/** A permalink (/archives/C…/p…) opens its channel, thread and message. */
function readLocation() {
  const found = location.pathname.match(/^\/archives\/(\w+)\/p(\d+)(\d{6})$/);
  if (!found) return;
  const ts = `${found[2]}.${found[3]}`;
  store.place = { kind: "channel", id: found[1] };
  store.linked = ts;
  const threadTs = new URLSearchParams(location.search).get("thread_ts");
  if (threadTs) store.thread = { channel: found[1], ts: threadTs };
}

let scrolledToLink = false;

function render() {
  if (!store.state) return;
  main.render();
  thread.render();
  renderRail(rail, closeRail);
  syncModal();
  document.title = `${store.state.workspace}`;
  if (store.linked && !scrolledToLink) {
    scrolledToLink = true;
    document.querySelector(`[data-ts="${store.linked}"].message`)?.scrollIntoView({ block: "center" });
  }
}

readLocation();
setInterval(() => { if (store.state) changed(); }, 30_000); // "last reply 5 minutes ago" grows old
store.listeners.push(render);
listen(refresh, (online) => {
  store.online = online;
  if (online) refresh();
  if (store.state) changed();
});
