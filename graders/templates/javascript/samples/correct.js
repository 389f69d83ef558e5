const text = require("fs").readFileSync(0, "utf8");
const numbers = text.split(/\s+/).filter((word) => word !== "").map(Number);

console.log(numbers.length === 0 ? "none" : Math.max(...numbers));
