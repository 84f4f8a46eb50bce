"""What TRL's trainers lack: two rates, whole checkpoints, going on, held-out clips, the wrong-image check."""
