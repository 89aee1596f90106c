"""The report: one self-contained page, whole for a finished run and honest about an unfinished one."""

import base64
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

from ppo_robot.cli.main import main
from ppo_robot.errors import BadInputError, SpecError
from ppo_robot.policy.bundle import load_bundle
from ppo_robot.policy.export import export_bundle
from ppo_robot.ppo.actor_critic import ActorCritic
from ppo_robot.sim.batch_env import EPISODE_METRICS, BatchEnv
from ppo_robot.spec.experiment import load_experiment, save_experiment
from ppo_robot.training.evaluation import EVALUATION_SEED_OFFSET
from ppo_robot.training.report import write_report
from ppo_robot.training.report.curves import series
from ppo_robot.training.report.episodes import record_episodes
from ppo_robot.training.report.facts import overrides, read_run

SECTIONS = ("learning", "accuracy", "episodes", "reproduce")
PROVENANCE = {
    "ppo_robot": "0.1.0",
    "git_commit": "0123456789abcdef0123456789abcdef01234567",
    "git_dirty": False,
    "python": "3.11.2",
    "libraries": {"numpy": "2", "torch": "<script>alert(1)</script>"},
    "machine": {"system": "Linux", "cores": 2},
}


def fabricated_experiment():
    short = ["task.episode_length=0.4", "task.success.hold=0.1", "training.total_steps=40960"]
    return load_experiment("reach", "arm6", "default", 5, [*short, "training.network.hidden_sizes=[8]"])


def fabricated_record(iteration):
    done = iteration / 10
    record = {
        "iteration": iteration,
        "steps": iteration * 4096,
        "wall_s": 1.5 * iteration,
        "episodes": 0 if iteration == 1 else 40,
        "episode_return_mean": None if iteration == 1 else -2.0 + 3.0 * done,
        "success_rate": None if iteration == 1 else 0.7 * done,
        "final_error_mean_m": 0.3 * (1.02 - done),
        "policy_kl": 0.01,
        "clip_fraction": 0.1,
        "entropy": 4.0 - done,
        "explained_variance": done,
        "learning_rate": 1e-3,
        "action_std": 0.5,
        "steps_per_s": {"total": 3000.0, "simulation": 5000.0, "inference": 4e4, "learning": 2e4},
    }
    if iteration % 5 == 0:
        record["evaluation"] = {
            "success_rate": 0.9 * done,
            "success_ci95": [0.8 * done, 0.95 * done],
            "final_error_m": {"mean": 0.004, "p95": 0.008, "max": 0.02},
            "settle_time_s": None,
            "episodes": 128,
        }
    return record


def fabricated_episodes(count=60):
    random = np.random.default_rng(0)
    names = [*EPISODE_METRICS, "reward/tool_distance"]
    rows = random.uniform(0.0, 1.0, (count, len(names)))
    column = {name: place for place, name in enumerate(names)}
    rows[:, column["final_error"]] = random.gamma(2.0, 0.002, count)
    rows[:, column["success"]] = rows[:, column["final_error"]] < 0.01
    rows[:, column["settle_time"]] = np.where(rows[:, column["success"]] > 0, 0.2, np.inf)
    rows[:, column["goal_x"]] *= 0.6
    return names, rows


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    experiment = fabricated_experiment()
    env = BatchEnv(experiment.robot, experiment.task, range(1))
    size = env.reset().shape[1]
    env.close()
    generator = torch.Generator().manual_seed(0)
    actor = ActorCritic(size, size, len(experiment.robot.joints), experiment.training.network, generator)
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    export_bundle(path, actor, experiment, PROVENANCE, None, "a test")
    return path


@pytest.fixture
def run(tmp_path, bundle):
    """A finished run of a task so short that a report takes moments."""
    directory = tmp_path / "run"
    directory.mkdir()
    save_experiment(fabricated_experiment(), directory)
    (directory / "provenance.json").write_text(json.dumps(PROVENANCE))
    lines = [json.dumps(fabricated_record(iteration)) for iteration in range(1, 11)]
    (directory / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    names, episodes = fabricated_episodes()
    np.savez_compressed(directory / "evaluation.npz", names=np.array(names), episodes=episodes)
    result = {"steps": 40960, "steps_to_bar": 20480, "cpu_seconds": 12.0}
    (directory / "result.json").write_text(json.dumps(result))
    (directory / "bundle").symlink_to(bundle)
    return directory


class Links(HTMLParser):
    """Everything in a page that a browser would load or follow, and whether its tags fit together."""

    VOID = {"meta", "link", "img", "br", "hr", "input"}

    def __init__(self, text):
        super().__init__()
        self.resources, self.ids, self.references, self.open, self.scripts = [], [], [], [], 0
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.scripts += tag == "script"
        self.ids += [values["id"]] if "id" in values else []
        for name in ("src", "href", "data", "srcset", "action", "poster"):
            value = values.get(name)
            if value is not None:
                (self.references if value.startswith("#") else self.resources).append(value)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check_page(text):
    """Every page, however little there is to show, is self-contained and well-formed."""
    links = Links(text)
    assert not links.open
    assert links.scripts == 0
    assert all(value.startswith("data:") for value in links.resources), links.resources
    assert len(links.ids) == len(set(links.ids))
    assert {reference[1:] for reference in links.references} <= set(links.ids)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(links.ids)
    assert "http:" not in text and "https:" not in text and "@import" not in text
    assert set(SECTIONS) <= set(links.ids)
    assert len(text) < 4_000_000


def test_finished_run_gives_a_whole_self_contained_page(run):
    path = write_report(run)
    assert path == run / "report.html"
    text = path.read_text(encoding="utf-8")
    check_page(text)
    assert "This report is not complete" not in text
    assert "Nothing to show yet" not in text
    for word in ("Success rate", "Return", "Final error", "KL divergence", "Clip fraction", "Entropy", "Exploration",
                 "Explained variance", "Learning rate", "Speed", "Seen from above", "Seen from the side", "Settle time",
                 "Tool to goal", "wrist_3_joint", "Wilson", "012345678", "41k", "99 % passed at 20k",
                 "Resolved configuration", "ppo-robot train reach --robot arm6 --seed 5"):  # fmt: skip
        assert word in text, word
    assert "<script>" not in text and "&lt;script&gt;" in text
    assert not [entry.name for entry in run.iterdir() if entry.name.endswith(".tmp")]

    encoded = re.search(r"data:image/gif;base64,([^\"]+)", text)
    assert encoded
    film = Image.open(io.BytesIO(base64.b64decode(encoded[1])))
    assert film.n_frames > 10 and film.info["loop"] == 0
    pictures = []
    for frame in (0, film.n_frames - 1):
        film.seek(frame)
        pictures.append(np.asarray(film.convert("RGB")).astype(int))
        assert film.info["duration"] >= 40
    assert pictures[0].shape == (320, 400, 3)
    assert (np.abs(pictures[0] - pictures[1]).max(axis=2) > 20).mean() > 0.005


PIECES = {
    "metrics.jsonl": "No learning curves",
    "evaluation.npz": "No error over the workspace",
    "bundle": "the run has no bundle yet",
    "provenance.json": "unknown",
    "result.json": "Success rate",
}


@pytest.mark.parametrize("piece", PIECES)
def test_missing_piece_is_named_and_the_rest_shown(run, piece):
    (run / piece).unlink()
    text = write_report(run, video=False).read_text(encoding="utf-8")
    check_page(text)
    assert PIECES[piece] in text
    assert "data:image/gif" not in text


def test_torn_pieces_are_treated_as_missing(run):
    for piece in ("metrics.jsonl", "evaluation.npz", "provenance.json", "result.json"):
        data = (run / piece).read_bytes()
        (run / piece).write_bytes(data[: len(data) // 3])
    text = write_report(run, video=False).read_text(encoding="utf-8")
    check_page(text)
    assert "No error over the workspace" in text


def test_refused_bundle_is_named(run, bundle):
    (run / "bundle").unlink()
    (run / "bundle").mkdir()
    (run / "bundle" / "manifest.json").write_text("{}")
    text = write_report(run).read_text(encoding="utf-8")
    check_page(text)
    assert "the bundle was refused" in text


def test_run_that_has_just_begun_gives_a_page(tmp_path):
    save_experiment(fabricated_experiment(), tmp_path)
    text = write_report(tmp_path).read_text(encoding="utf-8")
    check_page(text)
    assert "not judged yet" in text and text.count("Nothing to show yet") == 3


def test_interrupted_run_says_how_to_continue(run):
    for piece in ("result.json", "evaluation.npz", "bundle"):
        (run / piece).unlink()
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text("\n".join(lines[:6]) + '\n{"iteration": 7, "st')
    text = write_report(run).read_text(encoding="utf-8")
    check_page(text)
    assert "24,576 of 40,960 steps" in text and f"ppo-robot train --resume {run}" in text
    assert "the policy while it trained over 128 episodes" in " ".join(text.split())


def test_command_writes_where_it_is_told_and_prints_the_path(run, tmp_path, capsys):
    assert main(["report", str(run), "--out", str(tmp_path / "page.html"), "--no-video"]) == 0
    assert capsys.readouterr().out.strip().endswith(str(tmp_path / "page.html"))
    assert not (run / "report.html").exists()
    check_page((tmp_path / "page.html").read_text(encoding="utf-8"))


def test_what_is_no_run_directory_is_one_line(tmp_path, capsys):
    for given in (tmp_path, tmp_path / "nothing"):
        assert main(["report", str(given)]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "not a run directory" in error
    assert not list(tmp_path.iterdir())
    with pytest.raises(SpecError):
        write_report(tmp_path)


def test_unwritable_page_is_bad_input(run):
    with pytest.raises(BadInputError, match="cannot be written"):
        write_report(run, run / "nowhere" / "page.html")


def test_overrides_name_what_differs_from_the_files_and_nothing_else(run):
    found = overrides(read_run(run).experiment)
    assert sorted(found) == [
        "task.episode_length=0.4",
        "task.success.hold=0.1",
        "training.network.hidden_sizes=[8]",
        "training.total_steps=40960",
    ]


def test_recorded_episodes_are_those_of_an_evaluation(bundle):
    experiment, runtime = fabricated_experiment(), load_bundle(bundle).runtime
    traces = record_episodes(experiment.robot, experiment.task, runtime, experiment.seed, count=2)
    env = BatchEnv(experiment.robot, experiment.task, range(2), experiment.seed + EVALUATION_SEED_OFFSET)
    observation = env.reset()
    for _ in range(experiment.task.episode_steps):
        result = env.step(runtime.act(observation)[0])
        observation = result.observation
    env.close()
    assert (result.truncated | result.terminated).all()
    for trace, summary in zip(traces, result.episode, strict=True):
        figures = dict(zip(env.metric_names, summary, strict=True))
        assert len(trace.time) == experiment.task.episode_steps + 1
        assert trace.time[-1] == pytest.approx(experiment.task.episode_length)
        assert trace.error[-1] == pytest.approx(figures["final_error"], rel=1e-12)
        assert trace.success == bool(figures["success"])
        assert trace.goal[0] == figures["goal_x"]
        assert np.ptp(trace.joint_target, axis=0).max() > 0


def test_long_runs_are_thinned_to_means_of_neighbours():
    records = [{"steps": step, "a": {"b": float(step)}} for step in range(1, 5001)]
    steps, values = series(records, "a.b")
    assert len(steps) == 500 and np.array_equal(steps, values)
    assert values[0] == 5.5
    assert len(series([{"steps": 1, "a": None}], "a.b")[0]) == 0
