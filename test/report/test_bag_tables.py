"""CSV and Parquet: every table reads back as the numbers that were recorded."""

from __future__ import annotations

import csv
import sys

import numpy as np
import pyarrow.parquet
import pytest
from made_recording import make, write_bag

from ppo_robot.cli.main import main
from ppo_robot.errors import BadInputError
from ppo_robot.policy.statistics import observation_components
from ppo_robot.recording.reader import BagReader
from ppo_robot.report.bag import read_bag
from ppo_robot.report.export import prepare, write_csv, write_parquet
from ppo_robot.report.tables import telemetry_tables, topic_tables


@pytest.fixture(scope="module")
def recorded():
    return make(1.5)


@pytest.fixture(scope="module")
def bag(recorded, tmp_path_factory):
    directory = tmp_path_factory.mktemp("bags") / "short"
    write_bag(recorded, directory)
    return directory


@pytest.fixture(scope="module")
def tables(bag):
    reader = BagReader(bag)
    return {**dict(telemetry_tables(read_bag(reader))), **dict(topic_tables(reader))}


def test_columns_are_named_after_topic_array_and_component(recorded, tables):
    assert set(tables) == {"policy_telemetry", "safety_telemetry", "joint_states", "policy_info", "rosout"}
    policy = tables["policy_telemetry"]
    np.testing.assert_array_equal(policy["policy.sequence"], recorded.policy["sequence"])
    place = observation_components(recorded.bundle.contract).index("joint_position/elbow_joint")
    for name in ("observation", "normalised_observation"):
        column = policy[f"policy.{name}.joint_position/elbow_joint"]
        np.testing.assert_array_equal(column, recorded.policy[name][:, place])
    np.testing.assert_array_equal(policy["policy.joint_target/elbow_joint"], recorded.policy["joint_target"][:, 2])
    np.testing.assert_array_equal(policy["policy.goal_position/z"], recorded.policy["goal_position"][:, 2])
    safety = tables["safety_telemetry"]
    np.testing.assert_array_equal(safety["safety.limits/wrist_1_joint"], recorded.safety["limits"][:, 3])
    states = tables["joint_states"]
    np.testing.assert_array_equal(states["joint_states.position/elbow_joint"], recorded.states["position"][:, 2])
    np.testing.assert_allclose(states["joint_states.stamp"], recorded.states["stamp"], atol=1e-6)
    assert states["log_time_ns"].dtype == np.int64
    assert tables["rosout"]["rosout.msg"] == ["a <b>warning</b>"]


def test_csv_reads_back_to_the_bit(tables, tmp_path):
    paths = write_csv(tmp_path, tables.items())
    assert sorted(path.stem for path in paths) == sorted(tables)
    for name, table in tables.items():
        with (tmp_path / f"{name}.csv").open(newline="") as file:
            header, *rows = csv.reader(file)
        assert header == list(table)
        for column, texts in zip(table.values(), zip(*rows, strict=True), strict=True):
            if isinstance(column, list):
                assert list(texts) == column
            else:
                np.testing.assert_array_equal(np.array([column.dtype.type(text) for text in texts]), column)


def test_parquet_reads_back_to_the_bit(tables, tmp_path):
    write_parquet(tmp_path, tables.items())
    for name, table in tables.items():
        found = pyarrow.parquet.read_table(tmp_path / f"{name}.parquet")
        assert found.column_names == list(table)
        for label, column in table.items():
            values = found[label].to_pylist() if isinstance(column, list) else found[label].to_numpy()
            np.testing.assert_array_equal(values, column)


def test_without_pyarrow_the_extra_is_named_and_nothing_is_written(bag, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.delitem(sys.modules, "pyarrow.parquet", raising=False)
    out = tmp_path / "page.html"
    assert main(["report", str(bag), "--out", str(out), "--parquet", str(tmp_path / "tables")]) == 2
    assert "pip install 'ppo_robot[parquet]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(BadInputError, match="--csv .*file: is a file"):
        prepare(tmp_path / "file", "--csv")
    with pytest.raises(BadInputError, match="--csv .*b: no such directory"):
        prepare(tmp_path / "a" / "b", "--csv")
    assert (tmp_path / "file").read_text() == "kept"
