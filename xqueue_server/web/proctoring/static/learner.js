// A learner's page: follows what becomes of the attempt, checks the browser, and counts down by the
// server's clock. The computer's own clock tells only that it was set, or that the computer slept:
// what it shows may be wrong.
(() => {
  "use strict";

  const page = document.querySelector(".learner");
  const part = (name) => page.querySelector(`[data-${name}]`);
  const here = page.dataset.here;
  const OPEN_MS = 5000;
  const OVER_MS = 15000;
  const WAIT_MS = 4000;
  const JUMP_MS = 2000;
  const SPOKEN_S = [60, 300, 600, 1800]; // a screen reader says so much is left, and no more often
  let etag = null;
  let until = null;
  let total = 0;
  let ahead = null; // server ms = performance.now() + ahead
  let isOver = false;
  let failed = 0;
  let timer = 0;
  let isReadying = false;
  let spokenOf = null;
  let between = Date.now() - performance.now();

  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

  // -- the server's clock ------------------------------------------------------------------------

  // By examClock (clock.js), as NTP does it.
  async function synchronise() {
    try {
      const told = await examClock.synchronise(examClock.asking(page.dataset.time));
      ahead = told.now() * 1000 - performance.now();
      return true;
    } catch {
      return false; // the next may not fail
    }
  }

  function count() {
    const clock = part("clock");
    const isShown = until !== null && ahead !== null;
    clock.hidden = part("clock-note").hidden = !isShown;
    if (!isShown) return;
    const s = Math.max(0, Math.ceil((until - performance.now() - ahead) / 1000));
    const text = examClock.shown(s);
    if (clock.textContent !== text) clock.textContent = text;
    speak(s);
    clock.classList.toggle("is-low", s <= 600);
    clock.classList.toggle("is-critical", s <= 120);
    if (s === 0 && total !== 0) {
      total = 0;
      plan(1500); // the server ends it by itself; see what became of it
    }
  }

  function speak(s) {
    const of = SPOKEN_S.find((each) => s <= each) ?? null;
    if (of === spokenOf) return;
    spokenOf = of;
    const minutes = Math.ceil(s / 60);
    if (of !== null && s > 0) say("spoken", minutes === 1 ? "One minute left" : `${minutes} minutes left`);
  }

  // While a computer sleeps, `performance.now()` may stand.
  function hasJumped() {
    const before = between;
    between = Date.now() - performance.now();
    return Math.abs(between - before) > JUMP_MS;
  }

  // -- what is shown -----------------------------------------------------------------------------

  function say(name, text) {
    const shown = part(name);
    if (shown.textContent !== text) shown.textContent = text;
  }

  function list(name, texts) {
    part(`${name}-card`).hidden = texts.length === 0;
    const shown = part(name);
    if ([...shown.children].map((each) => each.textContent).join("\n") === texts.join("\n")) return;
    shown.replaceChildren(
      ...texts.map((text) => {
        const line = document.createElement("li");
        line.textContent = text;
        return line;
      }),
    );
  }

  const written = new Intl.DateTimeFormat("en-GB", {
    weekday: "long",
    hour: "2-digit",
    minute: "2-digit",
    timeZoneName: "short",
  });

  function showEnd() {
    part("ends").hidden = until === null;
    if (until !== null) say("ends", `It ends on ${written.format(until)}.`);
  }

  // The attempt was removed, or the link is too old.
  function gone() {
    until = null;
    showEnd();
    count();
    say("title", "This page is out of date");
    say("text", "Its attempt is no longer there, or its link has expired. Until you have started the exam, its page in your course shows a new link. Afterwards your course team tells you what became of it.");
    part("checks-card").hidden = true;
    part("lost").hidden = true;
  }

  function show(told) {
    say("title", told.title);
    say("text", told.text);
    list("warnings", told.warnings);
    list("grades", told.grades);
    const end = told.expires_at === null ? null : Date.parse(told.expires_at);
    if (end !== until) {
      until = end;
      showEnd();
      total = end === null ? 0 : 1;
    }
    isOver = told.is_over;
    count();
    if (told.is_readied_here && !isReadying) getReady();
    if (!told.is_readied_here && !isReadying) part("checks-card").hidden = true;
  }

  // -- asking ------------------------------------------------------------------------------------

  async function ask() {
    if (document.hidden) return;
    try {
      const headers = etag ? { "If-None-Match": etag } : {};
      const answer = await fetch(`${here}/status`, { headers, cache: "no-store" });
      if (answer.status === 200) {
        etag = answer.headers.get("ETag");
        show(await answer.json());
      } else if (answer.status === 404 || answer.status === 410) {
        gone();
        return;
      } else if (answer.status !== 304) throw new Error(String(answer.status));
      failed = 0;
      part("lost").hidden = true;
    } catch {
      failed += 1;
      say("lost", "The server does not answer. Your exam goes on; what you submit counts as before.");
      part("lost").hidden = failed < 2;
    }
    plan();
  }

  function plan(soonMs) {
    clearTimeout(timer);
    const every = (isOver ? OVER_MS : OPEN_MS) * Math.min(6, failed + 1);
    // not all pages of an exam at the same instant
    timer = setTimeout(ask, soonMs ?? every * (0.85 + Math.random() * 0.3));
  }

  // -- the browser -------------------------------------------------------------------------------

  function check(text) {
    const line = document.createElement("li");
    line.textContent = text;
    part("checks").append(line);
    return (isGood, why) => {
      line.className = isGood ? "is-good" : "is-bad";
      if (!isGood && why) line.textContent = `${text}: ${why}`;
      return isGood;
    };
  }

  async function getReady() {
    isReadying = true;
    part("checks-card").hidden = false;
    part("checks").replaceChildren();
    const worker = check("It can run the exam’s script")(
      "Worker" in window && "fetch" in window,
      "use a current browser",
    );
    const agree = check("It agrees with the server about the time");
    const isTimed = agree(await synchronise(), "the server does not answer; reload in a moment");
    const ready = check("The server knows that you are here");
    let isReady = false;
    for (let n = 0; worker && isTimed && !isReady && n < 3; n += 1) {
      if (n) await pause(WAIT_MS);
      try {
        const answer = await fetch(`${here}/ready`, { method: "POST", cache: "no-store" });
        isReady = answer.ok;
        if (isReady) show(await answer.json());
      } catch {
        // tried again
      }
    }
    ready(isReady, "reload this page in a moment");
    etag = null;
  }

  setInterval(() => {
    if (hasJumped() && !document.hidden) {
      synchronise().then(count);
      ask();
    }
    count();
  }, 250);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    synchronise().then(count); // the computer may have slept
    ask();
  });
  synchronise().then(count);
  ask();
  // a computer's own timer drifts
  setInterval(() => document.hidden || synchronise(), 300000);
})();
