"""Proof that the gates can fail: planted faults, and what each check says of them."""
