// What the console does beside the admin pages' script: it listens to the server's news and has the
// page look at itself when there are any, and counts down by the server's clock. Without a stream
// the page asks every few seconds, as the admin pages do.
(() => {
  "use strict";

  const place = document.querySelector("[data-stream-course]");
  const QUIET_MS = 300; // several news in a row are one look
  const LISTENING_EVERY_MS = 60000;
  const AGAIN_MS = 10000; // meanwhile the page asks by itself
  let ahead = null; // of the server's clock: server ms = performance.now() + ahead
  let opened = null; // the stream; until `isOpen` on its way
  let isOpen = false;
  let looking = 0;
  let renewing = 0;
  let last = "";

  // -- countdowns --------------------------------------------------------------------------------

  function left(until) {
    const s = Math.max(0, Math.ceil((Date.parse(until) - performance.now() - ahead) / 1000));
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(s / 3600);
    const minutes = Math.floor((s % 3600) / 60);
    return { s, text: `${hours ? `${hours}:${two(minutes)}` : minutes}:${two(s % 60)}` };
  }

  function count() {
    if (ahead === null) return;
    for (const each of document.querySelectorAll("[data-until]")) {
      const { s, text } = left(each.dataset.until);
      if (each.textContent !== text) each.textContent = text;
      each.classList.toggle("is-low", s < 300);
    }
  }

  // -- the stream --------------------------------------------------------------------------------

  function follow(everyMs, isNow) {
    const says = isOpen ? "live" : "asks every few seconds";
    document.dispatchEvent(new CustomEvent("live-follow", { detail: { everyMs, isNow, says } }));
  }

  // News without a pause put no look off: hundreds of learners start at once.
  function look() {
    looking ||= setTimeout(() => {
      looking = 0;
      follow(isOpen ? LISTENING_EVERY_MS : null, true);
    }, QUIET_MS);
  }

  async function ticketOf() {
    const { streamLms: lms, streamCourse: course } = place.dataset;
    const asked = performance.now();
    const address = `/proctoring/console/ticket?${new URLSearchParams({ lms, course })}`;
    const answer = await fetch(address, { cache: "no-store", redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    const given = await answer.json();
    ahead = given.now_ms - (asked + performance.now()) / 2;
    return given;
  }

  async function listen() {
    clearTimeout(renewing);
    if (document.hidden) return;
    let given;
    try {
      given = await ticketOf();
    } catch {
      renewing = setTimeout(listen, AGAIN_MS);
      return;
    }
    count();
    if (document.hidden) return;
    const { streamCourse: course, streamExam: exam, streamAttempt: attempt } = place.dataset;
    const query = new URLSearchParams({ course, ticket: given.ticket, after: last || given.after });
    if (exam) query.set("exam", exam);
    if (attempt) query.set("attempt", attempt);
    opened?.close(); // the new one begins where it ends
    const stream = new EventSource(`/proctoring/events?${query}`);
    opened = stream;
    const hear = (event) => {
      last = event.lastEventId;
      look();
    };
    stream.addEventListener("news", hear);
    stream.addEventListener("anew", hear);
    stream.addEventListener("open", () => {
      isOpen = true;
      document.documentElement.dataset.stream = "open";
      look();
    });
    stream.addEventListener("error", () => {
      delete document.documentElement.dataset.stream;
      // Once: each time puts off when the page asks next, and a stream is tried again sooner.
      if (isOpen) {
        isOpen = false;
        follow(null, true);
      }
      if (stream.readyState !== EventSource.CLOSED) return; // it tries again by itself
      clearTimeout(renewing);
      renewing = setTimeout(listen, AGAIN_MS);
    });
    renewing = setTimeout(listen, (given.lasts_s * 1000) / 2);
  }

  function stop() {
    clearTimeout(renewing);
    opened?.close();
    isOpen = false;
    delete document.documentElement.dataset.stream;
    follow(null, false);
  }

  // While a computer sleeps, `performance.now()` may stand.
  let between = Date.now() - performance.now();
  function hasJumped() {
    const before = between;
    between = Date.now() - performance.now();
    return Math.abs(between - before) > 2000;
  }

  setInterval(() => {
    if (place && hasJumped()) listen();
    count();
  }, 500);
  if (place) {
    // After a form that did not go through: the page's own address, which can be asked for.
    if (place.dataset.address) history.replaceState(null, "", place.dataset.address);
    document.addEventListener("visibilitychange", () => (document.hidden ? stop() : listen()));
    listen();
  }
})();
