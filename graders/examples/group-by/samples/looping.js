function groupBy(items, key) {
  const groups = {};
  let at = 0;
  while (at < items.length) {
    const name = items[at][key];
    groups[name] = [...(groups[name] ?? []), items[at]].slice(-10);
  }
  return groups;
}

module.exports = { groupBy };
