"""Processes that build a tier and make images in an environment under test."""
