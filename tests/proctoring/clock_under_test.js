// Runs clock.js against a server and a network of which every delay is known. Prints JSON.
const { exchange, instant, shown, synchronise } = require(process.argv[2]);

const trueTime = { now: 1_800_000_000 };
const RUNS = JSON.parse(process.argv[3]);

async function run({ skew, there, back, busy, times, step }) {
  const steady = () => trueTime.now - 1_799_999_000; // counts from somewhere, is never set
  let wall = skew; // of the client's clock, which clock.js must not look at
  Date.now = () => (trueTime.now + wall) * 1000;
  let asked = 0;
  const ask = async () => {
    trueTime.now += there[asked % there.length];
    const t2 = trueTime.now;
    trueTime.now += busy;
    const t3 = trueTime.now;
    trueTime.now += back[asked % back.length];
    asked += 1;
    wall += step;
    return { t2, t3 };
  };
  const clock = await synchronise(ask, { steady, times });
  const expires = trueTime.now + 100;
  const text = new Date(expires * 1000).toISOString().replace("Z", "000Z");
  const leftBefore = clock.left(text);
  wall -= 3600; // the learner puts his clock back an hour
  const leftAfter = clock.left(text);
  trueTime.now += 40;
  return {
    error: Math.abs(clock.now() - trueTime.now),
    bound: clock.error,
    gained: leftAfter - leftBefore,
    left: clock.left(text),
    asked,
  };
}

async function main() {
  const found = [];
  for (const each of RUNS) {
    found.push(await run(each));
  }
  const failing = async () => {
    throw new Error("no network");
  };
  let failure = "";
  await synchronise(failing, { steady: () => 0 }).catch((error) => {
    failure = error.message;
  });
  let half = 0;
  const sometimes = async (t1) => {
    half += 1;
    if (half % 2 === 1) {
      throw new Error("lost");
    }
    return { t2: t1 + 5, t3: t1 + 5 };
  };
  const some = await synchronise(sometimes, { steady: () => 0, times: 4 });
  let wrong = "";
  await exchange(async () => ({ t2: "x" }), () => 0).catch((error) => {
    wrong = error.message;
  });
  console.log(
    JSON.stringify({
      found,
      failure,
      wrong,
      some: some.now(),
      shown: [0, 0.2, 59.5, 61, 3600, 3661.5].map(shown),
      instant: instant("2026-01-01T00:00:00.123456Z"),
      over: some.left("1970-01-01T00:00:01Z"),
    }),
  );
}

main();
