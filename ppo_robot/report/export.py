"""Tables as files that other tools read: CSV and Parquet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ppo_robot.errors import BadInputError
from ppo_robot.files import write_atomically
from ppo_robot.report.tables import Table


def prepare(directory: Path, option: str) -> None:
    """Make the directory that tables are written to, before long work begins.

    Raises:
        BadInputError: if it cannot be made, or is a file.
    """
    try:
        directory.mkdir(exist_ok=True)
    except FileNotFoundError:
        raise BadInputError(f"{option} {directory}: no such directory {directory.parent}; make it first") from None
    except FileExistsError:
        raise BadInputError(f"{option} {directory}: is a file; give the name of a directory") from None
    except OSError as error:
        raise BadInputError(f"{option} {directory}: cannot be made ({error.strerror}); give another place") from None


def require_parquet() -> None:
    """Refuse to go on without the library that writes Parquet.

    Raises:
        BadInputError: if pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError:
        raise BadInputError("--parquet: pyarrow is not installed: pip install 'ppo_robot[parquet]'") from None


def write_csv(directory: Path, tables: Iterable[tuple[str, Table]]) -> list[Path]:
    """Write each table as NAME.csv and return the paths. Numbers read back exactly; what is not there is `nan`.

    Raises:
        BadInputError: if a file cannot be written.
    """
    return [_write(directory / f"{name}.csv", _csv_bytes(table)) for name, table in tables]


def write_parquet(directory: Path, tables: Iterable[tuple[str, Table]]) -> list[Path]:
    """Write each table as NAME.parquet and return the paths.

    Raises:
        BadInputError: if a file cannot be written, or pyarrow is not installed.
    """
    require_parquet()
    return [_write(directory / f"{name}.parquet", _parquet_bytes(table)) for name, table in tables]


def _csv_bytes(table: Table) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(table)
    # repr() of a float is the shortest text that reads back as the same bits.
    writer.writerows(zip(*(_texts(column) for column in table.values()), strict=True))
    return out.getvalue().encode()


def _texts(column: object) -> list[str]:
    if isinstance(column, np.ndarray):
        return list(map(repr, column.tolist()))
    assert isinstance(column, list)  # noqa: S101 - a column is an array or a list of texts
    return column


def _parquet_bytes(table: Table) -> bytes:
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(dict(table)), out, compression="zstd")
    return out.getvalue()


def _write(path: Path, data: bytes) -> Path:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise BadInputError(f"{path}: cannot be written ({error.strerror}); give another place") from None
    return path
