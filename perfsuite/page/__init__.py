"""The page: one self-contained HTML file of records, that opens from disk without a network."""
