"""Curves and charts."""
