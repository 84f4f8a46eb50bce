"""Read the files of annotation tools, and tables and lines of one's own."""
