"""The page of a recording: its numbers are the recording's, it stands alone, and it says what is missing."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from made_recording import BUNDLE, make, repeated, write_bag

from ppo_robot.cli.main import main
from ppo_robot.errors import BadInputError
from ppo_robot.kinematics import RobotModel
from ppo_robot.recording.reader import BagReader
from ppo_robot.report.bag import read_bag
from ppo_robot.report.content import gather
from ppo_robot.report.envelope import STATES, events, interventions, state_spans, stops
from ppo_robot.report.latency import STAGES, latency, lost_sequences
from ppo_robot.report.page import page
from ppo_robot.safety.reasons import Cause, State
from ppo_robot.telemetry.matrix import Kind

JOINT = "wrist_1_joint"


@pytest.fixture(scope="module")
def recorded():
    return make(4.0, stop=3.6, silence=(2.0, 2.3))


@pytest.fixture(scope="module")
def html(recorded):
    return page(gather(recorded))


@pytest.fixture(scope="module")
def bag(recorded, tmp_path_factory):
    directory = tmp_path_factory.mktemp("bags") / "bench <1>"
    write_bag(recorded, directory)
    return directory


def embedded(text):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def chart(data, name):
    return next(one for one in data["charts"] if one["name"] == name)


def curve(data, name, series):
    found = next(one for one in chart(data, name)["series"] if one["name"] == series)
    time = np.frombuffer(base64.b64decode(found["t"]), "<u4") * data["unit"]
    return time, np.frombuffer(base64.b64decode(found["v"]), "<f4")


def test_curves_are_the_samples_of_the_recording(recorded, html):
    data = embedded(html)
    joint = recorded.joint_names.index(JOINT)
    time, target = curve(data, f"position/{JOINT}", "policy target")
    there = ~np.isnan(target)  # between them the policy was silent
    assert there.sum() == recorded.ticks
    assert (~there).sum() == 1
    np.testing.assert_allclose(time[there], recorded.policy["tick_began"] - recorded.start, atol=1e-6)
    np.testing.assert_array_equal(target[there], recorded.policy["joint_target"][:, joint].astype("<f4"))
    cycles = recorded.safety["kind"] == Kind.CYCLE
    time, command = curve(data, f"position/{JOINT}", "command")
    np.testing.assert_array_equal(command, recorded.safety["position"][cycles, joint].astype("<f4"))
    np.testing.assert_allclose(time, recorded.safety["now"][cycles] - recorded.start, atol=1e-6)
    states = recorded.safety["kind"] == Kind.STATE
    _, measured = curve(data, f"velocity/{JOINT}", "measured")
    np.testing.assert_array_equal(measured, recorded.safety["velocity"][states, joint].astype("<f4"))


def test_error_to_the_goal_is_forward_kinematics(recorded, html):
    tool = RobotModel(recorded.bundle.robot).tool_position(recorded.policy["joint_position"])
    expected = np.linalg.norm(tool - recorded.policy["goal_position"], axis=1) * 1e3
    _, error = curve(embedded(html), "goal", "tool to goal")
    np.testing.assert_allclose(error[~np.isnan(error)], expected, rtol=1e-6)


def test_marks_are_the_limits_of_the_deployment(recorded, html):
    data = embedded(html)
    joint = recorded.joint_names.index(JOINT)
    assert [mark["value"] for mark in chart(data, f"velocity/{JOINT}")["marks"]] == [-0.6, 0.6]
    spec = recorded.bundle.robot.joints[joint]
    lower, upper = (mark["value"] for mark in chart(data, f"position/{JOINT}")["marks"])
    assert lower == pytest.approx(spec.position_lower + 0.01)
    assert upper == pytest.approx(spec.position_upper - 0.01)


def test_reasons_are_shaded_when_they_held(recorded, html):
    shades = {shade["name"]: shade["spans"] for shade in chart(embedded(html), f"position/{JOINT}")["shades"]}
    cycles, joint = recorded.cycles, recorded.joint_names.index(JOINT)
    mask = cycles["limits"][:, joint].astype(int)
    assert set(shades) >= {"dynamics"}
    for bit, name in ((2, "dynamics"), (4, "stop")):
        spans = shades.get(name, [])
        inside = np.array([any(a - 1e-4 <= t < b - 1e-4 for a, b in spans) for t in cycles["time"]])
        np.testing.assert_array_equal(inside, (mask & bit) > 0)


def test_states_events_and_interventions(recorded):
    spans = state_spans(recorded)
    assert [STATES[index] for _, _, index in spans][:2] == [State.DISARMED, State.HOLDING]
    assert STATES[spans[-1][2]] is State.STOPPED
    assert all(end == begin for (_, end, _), (begin, _, _) in zip(spans, spans[1:], strict=False))
    ((at, cause),) = stops(recorded)
    assert cause is Cause.REQUESTED
    assert at == pytest.approx(3.6, abs=0.01)
    kinds = [event.kind for event in events(recorded)]
    assert kinds.count("arm") == 1
    assert kinds.count("stop") == 1
    assert kinds.count("goal") == 3
    assert kinds.count("policy") == 2  # activated, and begun anew after the silence
    changed, followed = interventions(recorded)
    cycles = recorded.cycles
    acting = np.isin(cycles["state"], [STATES.index(s) for s in (State.BLENDING, State.ACTIVE, State.LIMITED)])
    assert (changed, followed) == (int(cycles["changed"][acting].sum()), int(acting.sum()))
    assert 0 < changed < followed


def test_stages_of_a_tick_add_up_to_its_whole(recorded):
    found = latency(recorded)
    assert found.names == tuple(STAGES)
    assert found.followed == recorded.ticks
    np.testing.assert_allclose(found.stages.sum(axis=1), found.total, atol=1e-9)
    policy, row = recorded.policy, 37
    used = (recorded.safety["kind"] == Kind.CYCLE) & (recorded.safety["sequence"] == policy["sequence"][row])
    first = np.flatnonzero(used)[0]
    stamp = policy["state_stamp"][row] - policy["state_ros"][row] + policy["state_received"][row]
    assert found.total[row] == pytest.approx(recorded.safety["published"][first] - stamp, abs=1e-9)
    table = {line.name: line for line in found.table}
    np.testing.assert_allclose(table["inference"].quantiles[2], np.quantile(found.stages[:, 3], 0.99))
    assert table["sensor_to_command"].maximum == found.total.max()


def test_missed_and_lost_ticks_are_counted(recorded):
    late = dataclasses.replace(recorded, policy={**recorded.policy, "tick_began": recorded.policy["tick_began"].copy()})
    late.policy["tick_began"][50:] += 0.06
    before, found = latency(recorded), latency(late)
    assert found.missed == before.missed + 3
    assert found.longest_miss == 3
    torn = dataclasses.replace(
        recorded, policy={name: np.delete(column, slice(20, 25), axis=0) for name, column in recorded.policy.items()}
    )
    assert lost_sequences(torn.policy["sequence"]) == 5
    assert latency(torn).missed == before.missed
    assert any("5 ticks are missing" in sentence for sentence in gather(torn).missing)


def test_a_restarted_policy_counts_from_one_again_and_is_followed_all_the_same(recorded):
    twice = repeated(recorded, 2)
    for table in (twice.policy, twice.safety):
        table["sequence"] -= np.where(table["sequence"] > recorded.ticks, recorded.ticks, 0)
    found = latency(twice)
    assert found.followed == twice.ticks == 2 * recorded.ticks
    np.testing.assert_allclose(found.total[recorded.ticks :], found.total[: recorded.ticks], atol=2e-6)
    assert lost_sequences(twice.policy["sequence"]) == 0


def test_in_simulated_time_only_what_is_real_is_told(recorded):
    policy = {**recorded.policy, "state_received": recorded.policy["state_received"] - 4000.0}
    safety = {**recorded.safety, "now": recorded.safety["now"] - 4000.0}
    content = gather(dataclasses.replace(recorded, policy=policy, safety=safety))
    assert content.recorded.simulated
    assert content.latency.names == ("observe", "inference", "act")
    assert "Time was simulated" in page(content)
    assert not any("could not be followed" in sentence for sentence in content.missing)
    assert content.recorded.duration == pytest.approx(recorded.duration, abs=0.01)


def test_ten_minutes_stay_small_and_lose_no_peak(recorded):
    long = repeated(recorded, 150)
    assert long.duration == pytest.approx(600.0, abs=1.0)
    joint = long.joint_names.index(JOINT)
    long.safety["velocity"][400_00 + np.flatnonzero(long.safety["kind"][40_000:] == Kind.CYCLE)[0], joint] = 123.0
    text = page(gather(long))
    assert len(text) < 10_000_000
    data = embedded(text)
    _, command = curve(data, f"velocity/{JOINT}", "command")
    assert len(command) < 0.5 * len(long.cycles["time"])
    assert np.nanmax(command) == 123.0
    _, total = curve(data, "latency", "sensor to command")
    assert np.nanmax(total) == np.float32(np.nanmax(latency(long).total * 1e3))
    assert "Curves keep the first, last, lowest and highest sample" in text


class Page(HTMLParser):
    """Collects whatever could make a browser ask for something."""

    def __init__(self):
        super().__init__()
        self.references, self.scripts, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        self.references += [value for name, value in attributes if name in ("src", "href", "action", "data", "srcset")]
        if tag in ("script", "style"):
            self.open.append(tag)

    def handle_data(self, data):
        if self.open:
            self.scripts.append(data)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()


def test_the_page_asks_for_nothing_outside_itself(html):
    found = Page()
    found.feed(html)
    assert found.references == ["data:,"]
    code = "".join(found.scripts)
    assert len(found.scripts) == 3  # style, data, script
    for word in ("http:", "https:", "//cdn", "@import", "url(", "fetch(", "XMLHttpRequest", "import(", "WebSocket"):
        assert word not in code


def test_names_from_a_recording_are_escaped(recorded):
    evil = "</script><img src=x onerror=alert(1)>"
    renamed = dataclasses.replace(recorded, name=evil, joint_names=(evil, *recorded.joint_names[1:]))
    text = page(gather(renamed))
    assert "<img" not in text
    assert chart(embedded(text), f"position/{evil}")["title"] == evil


def test_what_is_missing_is_said_and_the_rest_is_shown(recorded):
    bare = dataclasses.replace(recorded, safety={}, bundle=None, limits=None)
    content = gather(bare)
    assert [sentence.partition(":")[0] for sentence in content.missing] == [
        "No safety/telemetry",
        "The policy bundle was not found",
    ]
    assert content.verdict == ("no envelope recorded", "neutral")
    assert content.drift is None
    assert "No safety/telemetry" in page(content)
    deaf = gather(dataclasses.replace(recorded, policy={}))
    assert deaf.latency is None
    assert "No policy/telemetry" in page(deaf)


def test_drift_is_small_for_what_the_bundle_was_judged_on_and_large_for_what_it_was_not(recorded):
    statistics = recorded.bundle.statistics.observation
    place = statistics.names.index("joint_velocity/elbow_joint")
    edges = [statistics.minimum[place], *statistics.deciles[place], statistics.maximum[place]]
    even = np.interp(np.linspace(0.0, 10.0, recorded.ticks), np.arange(11.0), edges)
    observation = recorded.policy["observation"].copy()
    observation[:, place] = even
    rows = gather(dataclasses.replace(recorded, policy={**recorded.policy, "observation": observation})).drift
    found = {row.name: row for row in rows if row.part == "observation"}
    assert found["joint_velocity/elbow_joint"].psi < 0.02
    assert found["joint_velocity/elbow_joint"].outside == 0.0
    observation[:, place] = statistics.maximum[place] + 1.0
    rows = gather(dataclasses.replace(recorded, policy={**recorded.policy, "observation": observation})).drift
    found = {row.name: row for row in rows if row.part == "observation"}
    assert found["joint_velocity/elbow_joint"].outside == 1.0
    assert found["joint_velocity/elbow_joint"].psi > 5.0


def test_a_bag_gives_back_what_was_recorded(recorded, bag):
    read = read_bag(BagReader(bag))
    for table, given in ((read.policy, recorded.policy), (read.safety, recorded.safety)):
        assert set(table) == set(given)
        for name, column in given.items():
            np.testing.assert_array_equal(table[name], column)
    assert read.bundle.id == recorded.bundle.id  # the shipped one, by the id that the policy told
    assert read.joint_names == recorded.joint_names
    assert [(said.level, said.source) for said in read.said] == [(1, "safety")]
    assert read.said[0].time - read.start == pytest.approx(1.0, abs=0.01)


def test_another_bundle_is_named(recorded, tmp_path):
    write_bag(recorded, tmp_path / "bag", {"bundle_id": "f" * 64})
    assert read_bag(BagReader(tmp_path / "bag")).bundle is None
    read = read_bag(BagReader(tmp_path / "bag"), BUNDLE)
    assert read.bundle.id == recorded.bundle.id
    assert "recorded was ffffffffffff" in read.missing[0]


def test_the_command_writes_the_page_and_the_tables(recorded, bag, tmp_path, capsys):
    out = tmp_path / "out.html"
    assert main(["report", str(bag), "--out", str(out), "--csv", str(tmp_path / "csv")]) == 0
    assert capsys.readouterr().out == f"report: {out}\ntables: {tmp_path / 'csv'} (5 files)\n"
    assert embedded(out.read_text())["duration"] == pytest.approx(recorded.duration)
    assert "bench &lt;1&gt;" in out.read_text()


def test_options_of_the_other_kind_are_refused(bag, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    for arguments, expected in (
        ([str(bag), "--no-video"], "--no-video: "),
        ([str(tmp_path / "run"), "--csv", "tables"], "--csv: "),
    ):
        assert main(["report", *arguments]) == 2
        assert expected in capsys.readouterr().err


def test_a_bag_without_telemetry_is_refused(recorded, tmp_path):
    with pytest.raises(BadInputError, match="holds neither policy/telemetry nor safety/telemetry"):
        write_bag(dataclasses.replace(recorded, policy={}, safety={}), tmp_path / "bag")
        read_bag(BagReader(tmp_path / "bag"))
