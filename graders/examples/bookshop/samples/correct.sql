SELECT author.name, COALESCE(SUM(sale.copies), 0) AS sold
FROM author
LEFT JOIN book ON book.author_id = author.id
LEFT JOIN sale ON sale.book_id = book.id
GROUP BY author.id
ORDER BY sold DESC, author.name;
