SELECT name, SUM(copies) FROM authors JOIN sale USING (author_id) GROUP BY name;
