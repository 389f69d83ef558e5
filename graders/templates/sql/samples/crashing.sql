SELECT name, points FROM marks WHERE points >= 50 ORDER BY points DESC;
