"""A page to ask in: a video and a sentence in, the answer out."""
