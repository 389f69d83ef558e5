// Keeps the live parts of a page up to date: asks for the page again every few seconds with the
// ETag of what is shown, and swaps the parts marked data-live. Stops while the tab is hidden, while
// somebody works in a part, and when asked to. Without this script the pages work all the same.
(() => {
  "use strict";

  const EVERY_MS = Number(document.documentElement.dataset.liveMs) || 5000;
  const note = document.querySelector("[data-live-note]");
  let etag = null;
  let isPaused = false;
  let timer = 0;
  let isAsking = false;

  const parts = () => [...document.querySelectorAll("[data-live]")];

  function isInUse(part) {
    const focused = document.activeElement;
    const selection = document.getSelection();
    return (
      (part.contains(focused) && focused.matches("input, select, textarea, summary")) ||
      (selection && !selection.isCollapsed && part.contains(selection.anchorNode))
    );
  }

  function focusedLink(part) {
    const focused = document.activeElement;
    return part.contains(focused) ? focused.getAttribute("href") : null;
  }

  // What somebody has unfolded stays so.
  function unfold(part, fresh) {
    const said = (details) => details.querySelector("summary")?.textContent;
    const folded = [...fresh.querySelectorAll("details:not([open])")];
    for (const open of part.querySelectorAll("details[open]")) {
      const place = folded.findIndex((details) => said(details) === said(open));
      if (place >= 0) folded.splice(place, 1)[0].open = true;
    }
  }

  function swap(page) {
    for (const part of parts()) {
      const fresh = page.querySelector(`[data-live="${CSS.escape(part.dataset.live)}"]`);
      if (!fresh || isInUse(part)) continue;
      unfold(part, fresh);
      if (fresh.innerHTML === part.innerHTML) continue;
      const href = focusedLink(part);
      part.replaceChildren(...document.importNode(fresh, true).childNodes);
      if (href) part.querySelector(`a[href="${CSS.escape(href)}"]`)?.focus();
    }
  }

  function say(text, isOff) {
    if (!note) return;
    note.querySelector("[data-live-text]").textContent = text;
    note.classList.toggle("is-off", isOff);
  }

  async function ask() {
    if (isAsking || isPaused || document.hidden) return;
    isAsking = true;
    try {
      const headers = { "X-Live": "1" };
      if (etag) headers["If-None-Match"] = etag;
      const answer = await fetch(location.href, { headers, cache: "no-store", redirect: "manual" });
      if (answer.status === 200) {
        etag = answer.headers.get("ETag");
        swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
      }
      if (answer.type === "opaqueredirect") {
        say("signed out: reload the page", true);
        return;
      }
      const isWell = answer.status === 200 || answer.status === 304;
      say(isWell ? "live" : "no answer, trying again", !isWell);
    } catch {
      say("no answer, trying again", true);
    } finally {
      isAsking = false;
      plan();
    }
  }

  function plan() {
    clearTimeout(timer);
    if (!isPaused && !document.hidden && parts().length) timer = setTimeout(ask, EVERY_MS);
  }

  if (parts().length && note) {
    note.hidden = false;
    const button = note.querySelector("button");
    button.addEventListener("click", () => {
      isPaused = !isPaused;
      button.textContent = isPaused ? "Resume" : "Pause";
      say(isPaused ? "paused" : "live", isPaused);
      if (!isPaused) ask();
    });
    document.addEventListener("visibilitychange", () => (document.hidden ? plan() : ask()));
    plan();
  }

  // A filter that is changed is applied at once where its form says so.
  for (const form of document.querySelectorAll("form[data-at-once]")) {
    form.addEventListener("change", (event) => {
      if (event.target.matches("select")) form.requestSubmit();
    });
  }
})();
