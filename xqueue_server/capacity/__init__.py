"""How many workers a queue needs, as arithmetic: no framework, no database, no clock."""
