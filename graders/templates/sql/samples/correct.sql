SELECT name, points FROM mark WHERE points >= 50 ORDER BY points DESC;
