"""Values: what was measured, judged and recorded. Standard library and msgspec only."""
