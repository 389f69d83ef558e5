// Counts down to an instant of the server's clock, whatever the clock of this machine says.
//
// The page asks for the time several times and keeps the answer that was under way for the
// shortest time: it can be wrong by half of that at most. From then on only the time that has passed
// since then counts (performance.now), so moving this machine's clock moves nothing. What is shown
// decides nothing: the server ends the exam by its own clock.
(function (scope) {
  "use strict";

  // One question, in the manner of NTP; all instants in seconds. `steady` counts from anywhere and
  // is never set. t1 and t4 are by `steady`, so a clock that is moved in between changes nothing.
  async function exchange(ask, steady) {
    const t1 = steady();
    const answer = await ask(t1);
    const t4 = steady();
    const { t2, t3 } = answer;
    if (!Number.isFinite(t2) || !Number.isFinite(t3)) {
      throw new Error("The server did not tell the time");
    }
    return { offset: (t2 - t1 + (t3 - t4)) / 2, delay: t4 - t1 - (t3 - t2) };
  }

  // The best of so many questions; those that fail do not count, unless all do.
  async function synchronise(ask, { steady = steadyS, times = 5 } = {}) {
    let best = null;
    let failure = null;
    for (let i = 0; i < times; i += 1) {
      try {
        const found = await exchange(ask, steady);
        if (best === null || found.delay < best.delay) {
          best = found;
        }
      } catch (error) {
        failure = error;
      }
    }
    if (best === null) {
      throw failure;
    }
    return {
      // Seconds since 1970 by the server's clock.
      now: () => steady() + best.offset,
      // Seconds that `now` can be wrong by.
      error: best.delay / 2,
      // Seconds until an instant as answers have it ("2026-01-01T00:00:00.000000Z"); never below 0.
      left: (expiresAt) => Math.max(0, instant(expiresAt) - (steady() + best.offset)),
    };
  }

  // To the microsecond, which Date.parse does not keep.
  function instant(text) {
    const parts = /^(.*:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$/.exec(text);
    if (parts === null) {
      throw new Error(`${text} is no instant`);
    }
    return Date.parse(parts[1] + parts[3]) / 1000 + Number(parts[2] || 0);
  }

  function steadyS() {
    return performance.now() / 1000;
  }

  // Asks the server at `url`.
  function asking(url) {
    return async (t1) => {
      const response = await fetch(url, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ t1 }),
        cache: "no-store",
        credentials: "omit",
      });
      if (!response.ok) {
        throw new Error(`The server answered ${response.status}`);
      }
      return response.json();
    };
  }

  // "1:02:03" or "02:03": rounded up, so that 0:00 is shown when time is over and not before.
  function shown(seconds) {
    const whole = Math.ceil(seconds);
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(whole / 3600);
    const rest = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
    return hours > 0 ? `${hours}:${rest}` : rest;
  }

  const clock = { asking, exchange, instant, shown, synchronise };
  if (typeof module !== "undefined" && module.exports) {
    module.exports = clock;
  } else {
    scope.examClock = clock;
  }
})(typeof self === "undefined" ? this : self);
