// A worker's global scope whose clock and network a test holds in its hand. Reads one scenario as
// JSON from standard input, plays it, and prints what the worker did.
'use strict';

const fs = require('node:fs');
const vm = require('node:vm');

const { script, env, steps } = JSON.parse(fs.readFileSync(0, 'utf8'));

const seen = { posted: [], asked: [], aborted: 0, exports: [] };
const listeners = [];
const network = [];
let clock = 0;
let timers = [];

function fetchAnswer(url, options) {
  seen.asked.push({
    at: clock, url, method: options.method || 'GET', cache: options.cache,
    credentials: options.credentials, body: options.body === undefined ? null : options.body,
  });
  const answer = network.shift() || { unreachable: true };
  if (answer.throws) {
    throw new Error(answer.throws);
  }
  return new Promise((resolve, reject) => {
    if (answer.unreachable) {
      reject(new TypeError('Failed to fetch'));
    } else if (answer.hangs) {
      // One that hears of the abort, as fetch does, or one that does not even do that.
      if (answer.hangs !== 'deaf') {
        options.signal.addEventListener('abort', () => {
          seen.aborted += 1;
          reject(new Error('aborted'));
        });
      }
    } else {
      const { status } = answer;
      resolve({
        status,
        ok: status >= 200 && status < 300,
        json: () => (answer.json === undefined
          ? Promise.reject(new SyntaxError('Unexpected token <')) : Promise.resolve(answer.json)),
      });
    }
  });
}

const scope = {
  addEventListener: (name, listener) => { if (name === 'message') listeners.push(listener); },
  postMessage: (message) => seen.posted.push({ at: clock, ...structuredClone(message) }),
  setTimeout: (act, ms) => { const timer = { due: clock + ms, act }; timers.push(timer); return timer; },
  clearTimeout: (timer) => { timers = timers.filter((each) => each !== timer); },
  performance: { now: () => clock },
  fetch: fetchAnswer,
  AbortController,
};
const globals = { self: scope };
if (env) {
  globals.process = { env: { JS_ENV_EXTRA_CONFIG: env } };
  globals.module = { exports: {} };
}
// Whatever else of Node there is, a worker has not.
vm.createContext(globals);

const settled = () => new Promise((resolve) => { setImmediate(resolve); });

async function advance(ms) {
  const end = clock + ms;
  for (;;) {
    await settled();
    const next = timers.filter((timer) => timer.due <= end).sort((a, b) => a.due - b.due)[0];
    if (!next) break;
    scope.clearTimeout(next);
    clock = next.due;
    next.act();
  }
  clock = end;
}

(async () => {
  vm.runInContext(script, globals);
  for (const step of steps) {
    if ('network' in step) network.push(...step.network);
    if ('message' in step) listeners.forEach((listener) => listener({ data: step.message }));
    await advance(step.advance || 0);
  }
  if (globals.module) seen.exports = Object.keys(globals.module.exports);
  seen.timersLeft = timers.length;
  process.stdout.write(JSON.stringify(seen));
})();
