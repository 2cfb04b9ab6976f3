"""Which version made it worse: a search whose trials are gates."""
