"""The upgrade gate put to the test: equal sides, and sides of which one has work planted."""
