// Talking to the server.

export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

async function answer(response) {
  const body = await response.json();
  if (body.ok === false) throw new Refused(body.error, body.message);
  return body;
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Refused("offline", "The workspace cannot be reached. Is it still running?");
  }
  return answer(response);
}

const HEADERS = { "X-Workspace-Person": "page" };

/** Do something as a person. Rejects with Refused. */
export function perform(user, action, body = {}) {
  return send(`/person/${action}`, {
    method: "POST", headers: { ...HEADERS, "Content-Type": "application/json" }, body: JSON.stringify({ user, ...body }),
  });
}

export function upload(user, channel, file, text, threadTs) {
  const form = new FormData();
  for (const [name, value] of Object.entries({ user, channel, text, thread_ts: threadTs ?? "" })) form.append(name, value);
  form.append("file", file, file.name);
  return send("/person/upload", { method: "POST", headers: HEADERS, body: form });
}

export function fetchState(user) {
  return send(`/person/state?user=${encodeURIComponent(user)}`, { headers: HEADERS });
}

/** Call `onChange` at every change and after each reconnection, `onStatus` when the line goes up or down. */
export function listen(onChange, onStatus) {
  const source = new EventSource("/person/events");
  source.addEventListener("open", () => onStatus(true));
  source.addEventListener("message", onChange);
  source.addEventListener("error", () => {
    onStatus(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(() => listen(onChange, onStatus), 1500);
  });
}
