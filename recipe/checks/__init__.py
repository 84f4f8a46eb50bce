"""What is checked before a GPU-hour is spent."""
