"""The recipe of the pocket checkpoint: an SDXL in miniature, trained on rendered emoji scenes."""
