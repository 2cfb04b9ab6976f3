"""Proving the latency gate: unchanged code and planted slowdowns, in fresh processes."""
