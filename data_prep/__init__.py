"""Annotations and videos in, second-level JSON tracks and frames out."""
