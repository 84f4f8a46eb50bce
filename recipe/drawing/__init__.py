"""Boxes, sheets, overlay videos and curves."""
