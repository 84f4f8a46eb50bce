"""Mixtures of track files that keep evaluation videos out."""
