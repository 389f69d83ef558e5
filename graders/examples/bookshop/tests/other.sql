CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT NOT NULL, author_id INTEGER NOT NULL REFERENCES author);
CREATE TABLE sale (book_id INTEGER NOT NULL REFERENCES book, sold_on TEXT NOT NULL, copies INTEGER NOT NULL);

INSERT INTO author VALUES (1, 'Morrison'), (2, 'Calvino'), (3, 'Zola');
INSERT INTO book VALUES (1, 'Beloved', 1), (2, 'Sula', 1), (3, 'Invisible Cities', 2), (4, 'Germinal', 3);
INSERT INTO sale VALUES (3, '2025-04-01', 2), (3, '2025-04-02', 2), (4, '2025-04-02', 4), (2, '2025-05-02', 9);
