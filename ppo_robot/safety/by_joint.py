"""Rows that have an entry a joint each, side by side."""

from __future__ import annotations

from functools import partial

by_joint = partial(zip, strict=True)
"""`zip` of rows of the same length; where they have not, that is a mistake of ours and no joint is left out for it."""
