// Requests to the server that this page came from.

const GONE =
  "dabench does not answer. Start the same command again and open its new link: all that was saved is there.";

async function send(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error(GONE);
  }
  if (answer.status === 403) throw new Error("This page's link is not open any more. The terminal shows the next one.");
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.error), { status: answer.status });
  return content;
}

export const get = (path) => send(path, {});

export const post = (path, content) =>
  send(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });

/** A picture that is loaded and decoded, so that it and its outlines appear together. */
export async function picture(digest) {
  const image = new Image();
  image.src = `/pictures/${digest}`;
  await image.decode();
  return image.src;
}

/** The token has done its work: it leaves the address bar and the history. */
export function forgetToken() {
  history.replaceState(null, "", `${location.pathname}${location.hash}`);
}
