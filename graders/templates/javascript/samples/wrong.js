const text = require("fs").readFileSync(0, "utf8");
const numbers = text.split(/\s+/).filter((word) => word !== "").map(Number);

let largest = 0; // 0 is larger than any negative number
for (const number of numbers) {
  if (number > largest) largest = number;
}
console.log(numbers.length === 0 ? "none" : largest);
