-- Authors without a sale are lost, and copies are not added up.
SELECT author.name, COUNT(*) AS sold
FROM author
JOIN book ON book.author_id = author.id
JOIN sale ON sale.book_id = book.id
GROUP BY author.id
ORDER BY sold DESC, author.name;
