function groupBy(items, key) {
  const groups = {};
  for (const item of items) {
    console.log("looking at", item);
    groups[item[key]] ??= [];
    groups[item[key]].push(item);
  }
  return groups;
}

module.exports = { groupBy };
