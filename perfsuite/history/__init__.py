"""The memory of every run: a database of records, and of the values derived from them."""
