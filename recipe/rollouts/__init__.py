"""vLLM for groups of answers, on a GPU or a CPU, and groups that are replaced where they teach nothing."""
