// Times in the reader's own time zone.

const DAY = 86_400_000;

export function toDate(ts) {
  return new Date(Number(ts) * 1000);
}

export function clock(ts) {
  return toDate(ts).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

export function full(ts) {
  return toDate(ts).toLocaleString([], { dateStyle: "full", timeStyle: "medium" });
}

/** "Today", "Yesterday", or the date. */
export function day(date) {
  const away = relativeDay(date);
  return away ? away[0].toUpperCase() + away.slice(1) : date.toLocaleDateString([], { weekday: "long", day: "numeric", month: "long" });
}

function relativeDay(date) {
  const midnight = (when) => new Date(when.getFullYear(), when.getMonth(), when.getDate()).getTime();
  const days = Math.round((midnight(date) - midnight(new Date())) / DAY);
  return { "-1": "yesterday", 0: "today", 1: "tomorrow" }[days] ?? null;
}

export function ago(date) {
  const seconds = Math.round((date.getTime() - Date.now()) / 1000);
  const format = new Intl.RelativeTimeFormat([], { numeric: "auto" });
  for (const [unit, size] of [["day", 86_400], ["hour", 3600], ["minute", 60]]) {
    if (Math.abs(seconds) >= size) return format.format(Math.round(seconds / size), unit);
  }
  return "just now";
}

const TOKENS = {
  date_num: (date) => `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`,
  date_slash: (date) => date.toLocaleDateString(),
  date: (date) => date.toLocaleDateString([], { month: "long", day: "numeric", year: "numeric" }),
  date_short: (date) => date.toLocaleDateString([], { month: "short", day: "numeric", year: "numeric" }),
  date_long: (date) => date.toLocaleDateString([], { weekday: "long", month: "long", day: "numeric", year: "numeric" }),
  time: (date) => date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }),
  time_secs: (date) => date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" }),
  ago,
};
for (const name of ["date", "date_short", "date_long"]) {
  TOKENS[`${name}_pretty`] = (date) => relativeDay(date) ?? TOKENS[name](date);
}

/** Slack's `<!date^seconds^format>`; null when a token is unknown, so that the fallback is shown. */
export function dateText(seconds, format) {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return null;
  let known = true;
  const text = (format ?? "").replace(/\{(\w+)\}/g, (whole, token) => {
    if (TOKENS[token]) return TOKENS[token](date);
    known = false;
    return whole;
  });
  return known ? text : null;
}
