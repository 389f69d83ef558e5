WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted)
SELECT author.name, (SELECT MAX(n) FROM counted) FROM author;
