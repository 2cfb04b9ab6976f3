"""Rendering: records become documents, and documents text in many dialects. Computes nothing."""
