CREATE TABLE mark (name TEXT NOT NULL, points INTEGER);
INSERT INTO mark VALUES ('Dan', 77), ('Cem', 100), ('Eve', 50), ('Flo', NULL), ('Gil', 0);
