"""Proving the quality gate: planted faults, harmless changes, healthy tiers on fresh seeds."""
