function groupBy(items, key) {
  const groups = Object.create(null);
  for (const item of items) {
    const name = Object.hasOwn(item, key) ? item[key] : "none";
    (groups[name] ??= []).push(item);
  }
  return groups;
}

module.exports = { groupBy };
