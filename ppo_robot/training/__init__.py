"""Training runs: the trainer, its checkpoints, evaluation, and where its figures go."""

import os

# Before torch loads OpenMP: its threads otherwise spin while they wait, on the very cores where the workers simulate
# (measured on two busy cores: an update took ten times as long).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
