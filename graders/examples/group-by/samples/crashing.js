function groupBy(items, key) {
  const groups = { [items[0][key]]: [] };
  for (const item of items) {
    groups[item[key]].push(item);
  }
  return groups;
}

module.exports = { groupBy };
