"""Scores of answers under named protocols; nothing here loads a model."""
