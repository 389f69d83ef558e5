CREATE TABLE mark (name TEXT NOT NULL, points INTEGER);
INSERT INTO mark VALUES ('Bob', 50), ('Ada', 91), ('Zoe', 49);
