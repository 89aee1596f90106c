"""What all tests share: reproducible hypothesis runs, one thread per numeric library, no leak from the shell."""

from __future__ import annotations

import os

from hypothesis import settings

os.environ.pop("PPO_ROBOT_SHARE", None)
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("MPLBACKEND", "Agg")

settings.register_profile("repeatable", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("repeatable")
