"""Training runs: the trainer, its checkpoints, evaluation, and where its figures go."""
