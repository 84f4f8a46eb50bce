"""Reward variants: their names, their code, and functions from anywhere."""
