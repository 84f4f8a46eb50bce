"""Boxes, bars, sheets and overlay videos: one look for everything that shows a record or an answer."""
