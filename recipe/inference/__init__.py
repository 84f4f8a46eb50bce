"""Asking a model and finishing its answer: backends, windows, smoothing, files of answers."""
