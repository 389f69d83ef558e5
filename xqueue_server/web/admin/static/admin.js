// What the pages do in the browser: moments in the reader's own time, tables that fit on a phone,
// copying, and live parts. Without this script the pages work all the same, in UTC.
(() => {
  "use strict";

  // -- moments -----------------------------------------------------------------------------------

  const region = new Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
  const isUtc = /^(Etc\/)?(UTC|UCT|GMT|Zulu)$/.test(region);
  const zone = isUtc ? "UTC" : region.split("/").pop().replaceAll("_", " ");
  const two = (number) => String(number).padStart(2, "0");
  const day = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}`;
  const written = (at) => `${day(at)} ${clock(at)}:${two(at.getSeconds())}`;

  function localise(root) {
    if (isUtc) return;
    for (const each of root.querySelectorAll("[data-zone]")) {
      each.textContent = zone;
      each.title = region;
    }
    for (const each of root.querySelectorAll("time[datetime]")) {
      const utc = each.textContent;
      const at = new Date(each.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      each.textContent = written(at) + (utc.endsWith("UTC") ? ` ${zone} time` : "");
      each.title = utc.endsWith("UTC") ? utc : `${utc} UTC`;
    }
    for (const each of root.querySelectorAll("[data-clock]")) {
      each.textContent = clock(new Date(each.dataset.clock));
    }
    for (const each of root.querySelectorAll("[data-day]")) {
      const options = { day: "2-digit", month: "short" };
      each.textContent = new Date(each.dataset.day).toLocaleDateString("en-GB", options);
    }
  }

  // A form shows and takes the reader's time; the server is sent UTC.
  for (const input of document.querySelectorAll("input[data-moment]")) {
    if (isUtc) break;
    const at = new Date(`${input.defaultValue}Z`);
    if (!Number.isNaN(at.getTime())) input.value = written(at).replace(" ", "T");
    input.form.addEventListener("formdata", (event) => {
      const chosen = new Date(input.value);
      if (Number.isNaN(chosen.getTime())) return;
      event.formData.set(input.name, chosen.toISOString().replace(".000Z", "Z"));
    });
  }

  // -- tables, copying ---------------------------------------------------------------------------

  // On a phone a row is shown as a block: each of its cells then says what it is.
  function label(root) {
    for (const table of root.querySelectorAll("table")) {
      const heads = [...(table.tHead?.rows[0]?.cells ?? [])];
      if (heads.length) table.classList.add("stacks");
      for (const row of heads.length ? table.tBodies[0].rows : []) {
        [...row.cells].forEach((cell, place) => {
          const head = heads[place];
          if (head && !head.querySelector(".visually-hidden")) {
            cell.dataset.head = head.textContent.trim();
          }
        });
      }
    }
  }

  function prepare(root) {
    localise(root);
    label(root);
    for (const button of root.querySelectorAll("[data-copy]")) button.hidden = !navigator.clipboard;
  }

  prepare(document);
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    await navigator.clipboard.writeText(button.dataset.copy);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });

  // The page's own place in a menu that is longer than its room. Not by scrollIntoView: the Tab key
  // would go on from there, past the link that skips the menu.
  const here = document.querySelector(".nav [aria-current]");
  for (const room of here ? [here.closest("nav"), here.closest(".side")] : []) {
    const inner = here.getBoundingClientRect();
    const outer = room.getBoundingClientRect();
    room.scrollLeft += (inner.left + inner.right - outer.left - outer.right) / 2;
    room.scrollTop += (inner.top + inner.bottom - outer.top - outer.bottom) / 2;
  }

  // What is not filtered by does not stand in the address.
  for (const form of document.querySelectorAll("form[role=search]")) {
    form.addEventListener("formdata", ({ formData }) => {
      for (const [name, value] of [...formData]) if (!value) formData.delete(name);
    });
  }

  // A filter that is changed is applied at once where its form says so.
  for (const form of document.querySelectorAll("form[data-at-once]")) {
    form.addEventListener("change", (event) => {
      if (event.target.matches("select")) form.requestSubmit();
    });
  }

  // -- live parts --------------------------------------------------------------------------------

  // The page is asked for again every few seconds with the ETag of what is shown, and the parts
  // marked data-live are swapped. Not while the tab is hidden, somebody works in a part, or asked
  // not to.
  const EVERY_MS = Number(document.documentElement.dataset.liveMs) || 5000;
  let everyMs = EVERY_MS;
  const note = document.querySelector("[data-live-note]");
  let etag = null;
  let isPaused = false;
  let timer = 0;
  let isAsking = false;
  let isWanted = false; // news came while it was being asked for: once more
  let seenAt = new Date();
  let following = "live"; // the word for it

  const parts = () => [...document.querySelectorAll("[data-live]")];

  // Also while somebody who has typed something looks elsewhere.
  function isFilledIn(part) {
    const fields = [...part.querySelectorAll("input, textarea")];
    return (
      fields.some((field) => field.value !== field.defaultValue || field.checked !== field.defaultChecked) ||
      part.querySelector("form[data-written]") !== null
    );
  }

  function isInUse(part) {
    const focused = document.activeElement;
    const selection = document.getSelection();
    return (
      isFilledIn(part) ||
      (part.contains(focused) && focused.matches("input, select, textarea, summary")) ||
      (selection && !selection.isCollapsed && part.contains(selection.anchorNode))
    );
  }

  function focusedLink(part) {
    const focused = document.activeElement;
    return part.contains(focused) ? focused.getAttribute("href") : null;
  }

  // What somebody has unfolded stays so, and what is scrolled aside.
  function unfold(part, fresh) {
    const said = (details) => details.querySelector("summary")?.textContent;
    const folded = [...fresh.querySelectorAll("details:not([open])")];
    for (const open of part.querySelectorAll("details[open]")) {
      const place = folded.findIndex((details) => said(details) === said(open));
      if (place >= 0) folded.splice(place, 1)[0].open = true;
    }
  }

  function replace(part, fresh) {
    const href = focusedLink(part);
    const aside = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    part.replaceChildren(...document.importNode(fresh, true).childNodes);
    part.querySelectorAll(".scroll").forEach((box, place) => (box.scrollLeft = aside[place] ?? 0));
    if (href) part.querySelector(`a[href="${CSS.escape(href)}"]`)?.focus();
  }

  function swap(page) {
    prepare(page);
    for (const part of parts()) {
      const fresh = page.querySelector(`[data-live="${CSS.escape(part.dataset.live)}"]`);
      if (!fresh) continue;
      const isBehind = isInUse(part) && fresh.dataset.state !== part.dataset.state;
      const behind = document.querySelector(`[data-behind="${CSS.escape(part.dataset.live)}"]`);
      if (behind) behind.hidden = !isBehind;
      if (isInUse(part)) continue;
      if (fresh.dataset.state) part.dataset.state = fresh.dataset.state;
      unfold(part, fresh);
      if (fresh.innerHTML !== part.innerHTML) replace(part, fresh);
    }
  }

  function say(text, standing) {
    if (!note) return;
    const shown = note.querySelector("[data-live-text]");
    if (shown.textContent !== text) shown.textContent = text;
    note.classList.toggle("is-off", standing === "off");
    note.classList.toggle("is-bad", standing === "bad");
  }

  function complain(why) {
    say(`${why}. Shown is how it was at ${clock(seenAt)}:${two(seenAt.getSeconds())}`, "bad");
  }

  function signedOut() {
    const link = document.createElement("a");
    link.href = location.href;
    link.textContent = "Sign in again";
    const isTyped = parts().some(isFilledIn);
    if (isTyped) link.target = "_blank";
    say(`You are signed out.${isTyped ? " What you have typed stays here." : ""} `, "bad");
    note?.querySelector("[data-live-text]").append(link);
  }

  // Whether to go on.
  async function take(answer) {
    if (answer.type === "opaqueredirect" || answer.status === 401) {
      signedOut();
      return false;
    }
    if (answer.status === 200) {
      etag = answer.headers.get("ETag");
      swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
    }
    if (answer.status === 200 || answer.status === 304) {
      seenAt = new Date();
      if (!isPaused) say(following, "on");
    } else if (answer.status === 503) complain("The database can not be reached");
    else complain(`The server answers ${answer.status}`);
    return true;
  }

  async function ask() {
    if (isAsking || isPaused || document.hidden) return;
    isAsking = true;
    let goesOn = true;
    try {
      const headers = { "X-Live": "1" };
      if (etag) headers["If-None-Match"] = etag;
      const options = { headers, cache: "no-store", redirect: "manual" };
      goesOn = await take(await fetch(location.href, options));
    } catch {
      complain("The server does not answer");
    } finally {
      isAsking = false;
      if (goesOn && isWanted) {
        isWanted = false;
        ask();
      } else if (goesOn) plan();
    }
  }

  function plan() {
    clearTimeout(timer);
    if (!isPaused && !document.hidden && parts().length) timer = setTimeout(ask, everyMs);
  }

  if (parts().length && note) {
    note.hidden = false;
    const button = note.querySelector("button");
    button.addEventListener("click", () => {
      isPaused = !isPaused;
      button.textContent = isPaused ? "Resume" : "Pause";
      button.setAttribute("aria-label", `${button.textContent} following`);
      say(isPaused ? "paused" : following, isPaused ? "off" : "on");
      if (!isPaused) ask();
    });
    document.addEventListener("visibilitychange", () => (document.hidden ? plan() : ask()));
    // Somebody is told of news, and then has the page asked for: by itself it asks seldom, or as usual.
    document.addEventListener("live-follow", ({ detail }) => {
      everyMs = detail.everyMs ?? EVERY_MS;
      following = detail.says ?? "live";
      if (detail.isNow && isAsking) isWanted = true;
      else if (detail.isNow) ask();
      else plan();
    });
    plan();
  }
})();
