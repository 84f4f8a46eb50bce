"""Runs in W&B, and side by side on a page."""
