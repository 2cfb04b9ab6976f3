"""From samples, scores and conditions to verdicts: pure functions, no clock, file or printing."""
