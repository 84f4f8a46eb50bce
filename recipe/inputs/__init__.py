"""From a record to what a model gets: settings, families, prompts, frames, rows, the checkpoint."""
