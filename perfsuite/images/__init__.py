"""Images and layers: making, measuring and calibrating what is held against references."""
