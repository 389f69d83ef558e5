const text = require("fs").readFileSync(0, "utf8");
const numbers = text.split(/\s+/).filter((word) => word !== "").map(Number);

let largest = numbers[0];
for (const number of numbers) {
  while (number > largest) {
    // Forgets to keep the larger number.
  }
}
console.log(numbers.length === 0 ? "none" : largest);
