"""Files that later sessions are held against: baselines, references, thresholds."""
