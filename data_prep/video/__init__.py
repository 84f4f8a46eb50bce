"""Exact frames of videos at any rate, and shards of them."""
