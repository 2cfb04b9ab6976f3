"""Two environments side by side on one machine, one sample of each in turn: the upgrade gate."""
