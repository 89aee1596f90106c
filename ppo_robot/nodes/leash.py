"""Runs one command and ends it, and all that it started, when told to or when whoever held the leash is gone.

`python -I -S leash.py FD PATIENCE COMMAND...`: FD is the reading end of a pipe. A byte in it, or its end because the
holder died, even by `kill -9`, sends SIGINT to the process group, which this process must lead; after PATIENCE s, or at
the next byte, follows SIGTERM, then SIGKILL. The exit code is the command's; 128 + N where signal N ended it. Knows the
standard library only, so that it starts in a few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
PR_SET_PDEATHSIG = 1
POLL_PERIOD = 1.0
"""Seconds between looks at a child whose end SIGCHLD should have told; only a precaution."""


def die_with_parent() -> None:
    """Let the kernel end this process when the leash itself is killed; holds across exec."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def wait(child: subprocess.Popen[bytes], holder: int, woken: int, patience: float) -> int:
    """Wait for the child to end, escalating once the holder asks; return its exit code."""
    group = os.getpgrp()
    stage, deadline = 0, float("inf")
    listening = [holder, woken]
    while child.poll() is None:
        left = min(POLL_PERIOD, max(0.0, deadline - time.monotonic()))
        ready, _, _ = select.select(listening, [], [], left)
        if woken in ready:
            os.read(woken, 4096)
        asked = holder in ready
        if asked and not os.read(holder, 1):
            listening = [woken]
        if stage < len(SIGNALS) and (asked or time.monotonic() >= deadline):
            if SIGNALS[stage] == signal.SIGKILL:
                child.kill()
            else:
                os.killpg(group, SIGNALS[stage])  # this process ignores both
            stage, deadline = stage + 1, time.monotonic() + patience
    return child.returncode


def main(arguments: list[str]) -> int:
    """Run the command, then end whatever it left in its process group."""
    holder, patience, command = int(arguments[0]), float(arguments[1]), arguments[2:]
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    try:
        child = subprocess.Popen(command, preexec_fn=die_with_parent, close_fds=True)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        return 127
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # only now: an ignored signal stays ignored across exec
    code = wait(child, holder, woken, patience)
    code = code if code >= 0 else 128 - code
    end_stragglers(patience)
    return code


def end_stragglers(patience: float) -> None:
    """Send SIGTERM to what is left of the group, then SIGKILL."""
    if not stragglers():
        return
    os.killpg(os.getpgrp(), signal.SIGTERM)
    deadline = time.monotonic() + patience
    while stragglers():
        if time.monotonic() >= deadline:
            for pid in stragglers():
                os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.05)


def stragglers() -> list[int]:
    """Return the other processes of this group that still run."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                state, _, group = file.read().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(group) == os.getpgrp() and state not in "ZX":
            found.append(int(entry))
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
