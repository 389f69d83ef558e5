"use strict";
const fs = require("fs");
const { Console } = require("console");

// Whatever the learner's code logs must not look like an answer.
globalThis.console = new Console(process.stderr, process.stderr);

const { groupBy } = require("./submission.js");

/** Names of properties in alphabetical order, so that any order of theirs is right. */
function sorted(value) {
  if (value instanceof Map) value = Object.fromEntries(value);
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

if (typeof groupBy !== "function") {
  process.stderr.write("Your file does not export a function `groupBy` (module.exports = { groupBy }).\n");
  process.exit(1);
}
const { items, key } = JSON.parse(fs.readFileSync(0, "utf8"));
fs.writeSync(1, JSON.stringify(sorted(groupBy(items, key))) + "\n");
