// The message box, with slash commands and @mentions.

import { avatar, h, icon, iconButton } from "./dom.js";
import { act, share, store } from "./store.js";
import { names } from "./mrkdwn.js";

let serial = 0;

export class Composer {
  /** `where()` gives { channel, threadTs, label }; `textId` names the text area. */
  constructor(where, textId) {
    this.where = where;
    this.file = null;
    this.options = [];
    this.active = -1;
    this.listId = `suggestions-${++serial}`;
    this.text = h("textarea", {
      id: textId, rows: 1, "aria-label": "Message", role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": this.listId,
      on: { input: () => this.suggest(), keydown: (event) => this.key(event), blur: () => setTimeout(() => this.hide(), 120) },
    });
    this.send = h("button", { class: "send", type: "submit", "aria-label": "Send", title: "Send", disabled: true }, icon("send"));
    this.picker = h("input", { type: "file", hidden: true, "aria-label": "File to share", on: { change: () => this.attach(this.picker.files[0]) } });
    this.attachment = h("div", { class: "attachment", hidden: true });
    this.as = h("span", { class: "as" });
    this.list = h("div", { class: "suggestions", id: this.listId, role: "listbox", "aria-label": "Suggestions", hidden: true });
    this.node = h("form", { class: "composer", on: { submit: (event) => { event.preventDefault(); this.submit(); } } },
      this.list,
      h("div", { class: "composer-box" }, this.attachment, this.text,
        h("div", { class: "composer-bar" }, iconButton("clip", "Share a file", () => this.picker.click()), this.picker, this.as, h("span", { class: "spacer" }), this.send)));
  }

  /** Follow a change of person or place. */
  update() {
    const { label } = this.where();
    const me = names.users.get(store.me);
    const key = `${label}/${store.me}`;
    if (this.drawn === key || !me) return;
    this.drawn = key;
    this.text.placeholder = label;
    this.text.setAttribute("aria-label", label);
    this.as.replaceChildren(`Writing as ${me.name}`);
    this.hide();
  }

  attach(file) {
    this.file = file ?? null;
    this.attachment.hidden = !file;
    this.attachment.replaceChildren(...(file ? [file.name, iconButton("close", "Remove the file", () => { this.picker.value = ""; this.attach(null); })] : []));
    this.ready();
  }

  ready() {
    this.send.disabled = !this.text.value.trim() && !this.file;
  }

  async submit() {
    const text = this.text.value.trim();
    if (!text && !this.file) return;
    const { channel, threadTs } = this.where();
    const file = this.file;
    this.text.value = "";
    this.attach(null);
    this.picker.value = "";
    this.hide();
    const sent = await this.dispatch(channel, threadTs, text, file);
    if (sent === null && !this.text.value) {
      this.text.value = text;
      this.attach(file);
    }
  }

  dispatch(channel, threadTs, text, file) {
    if (file) return share(channel, file, text, threadTs);
    if (text.startsWith("/")) {
      const [command, ...rest] = text.split(/\s+/);
      return act("command", { channel, command, text: rest.join(" "), thread_ts: threadTs });
    }
    return act("say", { channel, text, thread_ts: threadTs });
  }

  /** Offer commands after a leading "/", people after "@". */
  suggest() {
    this.ready();
    const before = this.text.value.slice(0, this.text.selectionStart);
    const person = before.match(/(?:^|\s)@([\w.-]*)$/);
    if (before.startsWith("/") && !before.includes("\n")) this.suggestCommands(before);
    else if (person) this.suggestPeople(person[1].toLowerCase());
    else this.hide();
  }

  suggestCommands(before) {
    if (this.where().threadTs) {
      this.options = [];
      this.open([h("p", {}, `Slash commands do not work in threads. Write @${store.state.bot.name} instead.`)]);
      return;
    }
    const typed = before.replace(/\s+/g, " ").toLowerCase();
    const offers = commands().filter((one) => one.insert.toLowerCase().startsWith(typed) && one.insert.trim().toLowerCase() !== typed.trim());
    this.show(`Commands of ${store.state.bot.name}`, offers.map((one) => ({
      node: [h("span", { class: "what" }, one.usage), h("span", { class: "why" }, one.description)],
      pick: () => this.insert(one.insert, before.length),
    })));
  }

  suggestPeople(typed) {
    const people = [...names.users.values()].filter((user) => user.id !== store.me && `${user.name} ${handle(user)}`.toLowerCase().split(/\s+/).some((word) => word.startsWith(typed)));
    this.show("People and apps", people.map((user) => ({
      class: "person",
      node: [avatar(user, "small"), h("span", { class: "what" }, user.name), h("span", { class: "why" }, user.kind === "bot" ? "App" : user.title)],
      pick: () => this.insert(`@${handle(user)} `, typed.length + 1),
    })));
  }

  insert(text, replaced) {
    const end = this.text.selectionStart;
    this.text.setRangeText(text, end - replaced, end, "end");
    this.text.focus();
    this.suggest();
  }

  show(title, offers) {
    if (!offers.length) {
      this.hide();
      return;
    }
    this.options = offers.map((offer, index) => ({
      ...offer,
      row: h("div", {
        class: `suggestion ${offer.class ?? ""}`, role: "option", id: `${this.listId}-${index}`, "aria-selected": "false",
        on: { pointerdown: (event) => { event.preventDefault(); offer.pick(); }, pointermove: () => this.mark(index) },
      }, offer.node),
    }));
    this.open([h("h3", {}, title), ...this.options.map((option) => option.row)]);
    this.mark(0);
  }

  open(children) {
    this.list.replaceChildren(...children);
    this.list.hidden = false;
    this.text.setAttribute("aria-expanded", "true");
  }

  hide() {
    this.list.hidden = true;
    this.options = [];
    this.text.setAttribute("aria-expanded", "false");
    this.text.removeAttribute("aria-activedescendant");
  }

  mark(index) {
    this.active = index;
    this.options.forEach((option, number) => option.row.setAttribute("aria-selected", String(number === index)));
    this.text.setAttribute("aria-activedescendant", this.options[index].row.id);
    this.options[index].row.scrollIntoView({ block: "nearest" });
  }

  /** The command alone is a whole message too: it answers with its help. */
  complete() {
    return this.text.value.trim() === store.state.command;
  }

  key(event) {
    const open = !this.list.hidden;
    const count = this.options.length;
    if (event.key === "Escape" && open) {
      this.hide();
      event.stopPropagation();
    } else if (count && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      this.mark((this.active + (event.key === "ArrowDown" ? 1 : count - 1)) % count);
    } else if (count && (event.key === "Tab" || (event.key === "Enter" && !this.complete())) && !event.shiftKey) {
      this.options[this.active].pick();
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      this.submit();
    } else {
      return;
    }
    event.preventDefault();
  }
}

function handle(user) {
  return user.kind === "bot" ? user.name : names.users.get(user.id) && store.state.users.find((one) => one.id === user.id).name;
}

/** The help list: what to show, and what to type for it (the usage up to its first argument). */
function commands() {
  const { command, command_help: help } = store.state;
  const list = help.length ? help : [{ usage: "", description: "" }];
  return list.map(({ usage, description }) => {
    const whole = usage.startsWith("/") ? usage : `${command} ${usage}`.trim();
    const words = whole.split(" ");
    const until = words.findIndex((word) => /^[[<(]/.test(word));
    return { usage: whole, description, insert: until < 0 ? whole : `${words.slice(0, until).join(" ")} ` };
  });
}
