"""The upgrade gate: two environments side by side on one machine, one sample of each in turn."""
