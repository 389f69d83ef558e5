/*
 * Between an exam page and this proctoring service: says when an attempt starts, that the learner's
 * browser is alive, and when the attempt ends. It sees no camera and no screen.
 *
 * A classic script without dependencies, for importScripts in a worker of any origin and as the
 * main of an npm package alike. The page makes a new worker for each message, and some pages wait
 * for ever for an answer: every message that is known is answered, whatever happens.
 */
(function () {
  'use strict';

  const PROTOCOL = 1;
  /* Of one try. Pages give a start 5 s, or never give up. */
  const TRY_MS = 4000;
  const PAUSE_MS = 1000;
  /* Of a ping with all its tries. With "fail", a page that hears of one failed ping breaks the
     attempt off, so that a short outage of ours is waited out while there is time. */
  const LONGEST_PING_MS = 40000;
  /* Of what a page gives us; the rest is for the way back. */
  const SHARE = 0.8;

  function builtIn(name) {
    /* What the server writes before this script when it serves it ... */
    const served = self.xqueueProctoring;
    if (served && served[name]) {
      return served[name];
    }
    try {
      /* ... or what the LMS's webpack defines: this very expression is replaced by the build. */
      const defined = process.env.JS_ENV_EXTRA_CONFIG;
      return { server: defined.PROCTORING_HOOKS_WORKER_URL,
        pingOutage: defined.PROCTORING_HOOKS_PING_OUTAGE }[name];
    } catch (error) {
      return undefined;
    }
  }

  function problem(code, message, isFinal) {
    const error = new Error(message);
    error.code = code;
    error.isFinal = Boolean(isFinal);
    return error;
  }

  function limitMs(timeout, longest) {
    /* Pages give none, zero or less where they do not wait or reckon wrongly. */
    return typeof timeout === 'number' && timeout > 0
      ? Math.min(timeout * SHARE, longest) : TRY_MS;
  }

  function pause(ms) {
    return new Promise((resolve) => { self.setTimeout(resolve, ms); });
  }

  /* Settles after `ms` at the latest, even if the request takes no notice of being aborted. */
  function within(ms, work) {
    return new Promise((resolve, reject) => {
      const abort = new self.AbortController();
      const timer = self.setTimeout(() => {
        reject(problem('timeout', 'The proctoring service did not answer in time'));
        abort.abort();
      }, ms);
      const settled = (settle) => (value) => {
        self.clearTimeout(timer);
        settle(value);
      };
      work(abort.signal).then(settled(resolve), settled(reject));
    });
  }

  function insist(work, until) {
    const left = until - self.performance.now();
    return within(Math.min(TRY_MS, left), work).catch((error) => {
      if (error.isFinal || until - self.performance.now() <= PAUSE_MS) {
        throw error;
      }
      return pause(PAUSE_MS).then(() => insist(work, until));
    });
  }

  function failure(response) {
    const isFinal = response.status < 500 && response.status !== 408 && response.status !== 429;
    return response.json().catch(() => ({})).then((said) => problem(
      (said && said.code) || 'http_' + response.status,
      (said && said.message) || 'The proctoring service answered ' + response.status,
      isFinal,
    ));
  }

  function ask(url, options) {
    const request = Object.assign({
      mode: 'cors', credentials: 'omit', redirect: 'error', referrerPolicy: 'no-referrer',
    }, options);
    return self.fetch(url, request).then(
      (response) => (response.ok ? response : failure(response).then((error) => { throw error; })),
      () => { throw problem('unreachable', 'The proctoring service can not be reached'); },
    );
  }

  class Handler {
    /* options: {server: address of the service's folder, pingOutage: "echo" (as without) or "fail"}.
       With "echo" the page is not told that the service can not be reached: a hiccup of a network
       must not end an exam, and the service itself knows that it has not heard of the learner. */
    constructor(options) {
      const given = options || {};
      this.server = String(given.server || builtIn('server') || '').replace(/\/+$/, '');
      this.pingOutage = given.pingOutage || builtIn('pingOutage') || 'echo';
      this.ticket = null;
    }

    onStartExamAttempt(timeout, attemptExternalId) {
      return this.tell('start', attemptExternalId, limitMs(timeout, TRY_MS));
    }

    onPing(timeout, attemptExternalId) {
      return this.tell('ping', attemptExternalId, limitMs(timeout, LONGEST_PING_MS))
        .catch((error) => {
          if (error.isFinal || this.pingOutage !== 'echo') {
            throw error;
          }
        });
    }

    onEndExamAttempt(attemptExternalId) {
      return this.tell('end', attemptExternalId, TRY_MS);
    }

    tell(what, attempt, ms) {
      if (!this.server) {
        return Promise.reject(problem(
          'no_server', 'This worker was built without the address of its proctoring service', true,
        ));
      }
      /* Older pages do not say which attempt it is: then all that can be told is whether the
         service is there. */
      const work = attempt
        ? (signal) => this.report(what, String(attempt), signal)
        : (signal) => this.configuration('', 'no-store', signal);
      return insist(work, self.performance.now() + ms).then(() => undefined);
    }

    report(what, attempt, signal) {
      return this.ticketFor(attempt, 'default', signal)
        .then((ticket) => this.send(what, ticket, signal))
        .catch((error) => {
          if (error.code !== 'bad_ticket') {
            throw error;
          }
          /* It came from the browser's cache, and has expired. */
          return this.ticketFor(attempt, 'reload', signal)
            .then((ticket) => this.send(what, ticket, signal));
        });
    }

    ticketFor(attempt, cache, signal) {
      if (this.ticket && this.ticket.attempt === attempt && cache === 'default') {
        return Promise.resolve(this.ticket.value);
      }
      return this.configuration('?attempt=' + encodeURIComponent(attempt), cache, signal)
        .then((configuration) => {
          this.ticket = { attempt, value: configuration.ticket };
          return configuration.ticket;
        });
    }

    configuration(query, cache, signal) {
      return ask(this.server + '/config' + query, { cache, signal })
        .then((response) => response.json().catch(() => ({})))
        .then((configuration) => {
          if (!configuration || configuration.protocol !== PROTOCOL) {
            throw problem('foreign', 'Something else than the proctoring service answered');
          }
          return configuration;
        });
    }

    send(what, ticket, signal) {
      return ask(this.server + '/' + what, {
        method: 'POST',
        cache: 'no-store',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ ticket }),
        signal,
      });
    }
  }

  const ANSWERS = {
    startExamAttempt: ['examAttemptStarted', 'examAttemptStartFailed'],
    ping: ['echo', 'pingFailed'],
    endExamAttempt: ['examAttemptEnded', 'examAttemptEndFailed'],
  };

  function act(handler, message) {
    if (message.type === 'startExamAttempt') {
      return handler.onStartExamAttempt(message.timeout, message.attemptExternalId);
    }
    if (message.type === 'ping') {
      return handler.onPing(message.timeout, message.attemptExternalId);
    }
    return handler.onEndExamAttempt(message.attemptExternalId);
  }

  function plain(error) {
    /* Not every browser can post an Error, and one that can not would post nothing. */
    return {
      code: String((error && error.code) || 'worker'),
      message: String((error && error.message) || error),
    };
  }

  let handler = new Handler({});

  self.addEventListener('message', (event) => {
    const message = event.data || {};
    if (message.type === 'config') {
      handler = new Handler(message.options);
      return;
    }
    if (typeof message.type !== 'string'
        || !Object.prototype.hasOwnProperty.call(ANSWERS, message.type)) {
      return;
    }
    const [done, failed] = ANSWERS[message.type];
    Promise.resolve()
      .then(() => act(handler, message))
      .then(
        () => self.postMessage({ type: done }),
        (error) => self.postMessage({ type: failed, error: plain(error) }),
      );
  });

  /* For whoever wraps the handler otherwise. Last, as a build may have made `module` unwritable. */
  if (typeof module === 'object' && module) {
    module.exports = { Handler };
  }
}());
