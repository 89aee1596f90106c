"""Writes the page about a recording, and its tables."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

from ppo_robot.errors import BadInputError
from ppo_robot.files import write_atomically
from ppo_robot.recording.reader import BagReader
from ppo_robot.report.bag import read_bag
from ppo_robot.report.content import gather
from ppo_robot.report.export import prepare, require_parquet, write_csv, write_parquet
from ppo_robot.report.page import page
from ppo_robot.report.tables import telemetry_tables, topic_tables

REPORT_FILE = "report.html"


@dataclass(frozen=True)
class Wanted:
    """What to write, beside the page.

    Attributes:
        out: the page; by default `report.html` in the bag's directory.
        csv: directory for a CSV file of each table.
        parquet: the same, as Parquet.
        bundle: the recorded policy, where the recording's own is no longer where it was.
    """

    out: Path | None = None
    csv: Path | None = None
    parquet: Path | None = None
    bundle: Path | None = None


def write_bag_report(bag: Path, wanted: Wanted) -> list[Path]:
    """Write the page about a bag, and the tables that are wanted; return the paths, the page's first.

    Raises:
        BadInputError: if the bag or the bundle cannot be used, something cannot be written, or Parquet is wanted and
            pyarrow is not installed. Nothing is written then but what was written before.
    """
    path = wanted.out or (bag if bag.is_dir() else bag.parent) / REPORT_FILE
    if path.is_dir():
        raise BadInputError(f"{path}: is a directory; give the name of a file")
    if not path.resolve().parent.is_dir():
        raise BadInputError(f"{path}: the report cannot be written (no such directory {path.parent})")
    if wanted.parquet is not None:
        require_parquet()
    reader = BagReader(bag)
    recorded = read_bag(reader, wanted.bundle)
    text = page(gather(recorded))
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise BadInputError(f"{path}: the report cannot be written ({error.strerror}); give another place") from None
    written = [path]
    for directory, option, write in (
        (wanted.csv, "--csv", write_csv),
        (wanted.parquet, "--parquet", write_parquet),
    ):
        if directory is not None:
            prepare(directory, option)
            written += write(directory, itertools.chain(telemetry_tables(recorded), topic_tables(reader)))
    return written
