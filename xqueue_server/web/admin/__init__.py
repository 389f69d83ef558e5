"""The admin pages at /admin/: server-rendered HTML for the people who operate and repair."""
