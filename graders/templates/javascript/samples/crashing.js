const text = require("fs").readFileSync(0, "utf8");
const numbers = text.split(/\s+/).filter((word) => word !== "").map(Number);

// There may be no first number to begin with.
console.log(numbers.reduce((largest, number) => Math.max(largest, number)));
