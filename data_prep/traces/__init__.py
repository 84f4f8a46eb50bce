"""Reasoning traces: a teacher writes the words, the annotations write the numbers."""
