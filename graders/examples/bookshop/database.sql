CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT NOT NULL, author_id INTEGER NOT NULL REFERENCES author);
CREATE TABLE sale (book_id INTEGER NOT NULL REFERENCES book, sold_on TEXT NOT NULL, copies INTEGER NOT NULL);

INSERT INTO author VALUES (1, 'Woolf'), (2, 'Achebe'), (3, 'Borges'), (4, 'Lem');
INSERT INTO book VALUES (1, 'The Waves', 1), (2, 'Orlando', 1), (3, 'Things Fall Apart', 2),
    (4, 'Ficciones', 3), (5, 'Solaris', 4);
INSERT INTO sale VALUES (1, '2025-01-03', 2), (2, '2025-01-05', 5), (3, '2025-02-01', 4),
    (3, '2025-02-11', 3), (5, '2025-03-30', 1);
