"""The page: headings, figures and sentences around the charts. Everything that comes from a file is escaped."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ppo_robot import __version__
from ppo_robot.report.style import STYLE
from ppo_robot.spec.experiment import Experiment
from ppo_robot.spec.flight import FlightTaskSpec
from ppo_robot.training.report.curves import Chart
from ppo_robot.training.report.facts import RunFacts, reproduction
from ppo_robot.training.report.trajectories import EpisodeCharts

_METER_FROM = 0.9
"""Left end of the success meter, where the policy is good enough for the interval to be seen."""


def page(
    facts: RunFacts,
    video: bytes | None,
    learning: Sequence[Chart],
    accuracy: Sequence[Chart],
    episodes: Sequence[EpisodeCharts],
) -> str:
    """Return the whole page as HTML; a section without charts says that there are none."""
    experiment = facts.experiment
    title = f"{experiment.task.name} · {experiment.robot.name} · seed {experiment.seed}"
    parts = [
        _header(facts),
        _notice(facts.missing),
        f'<div class="hero{"" if video else " plain"}">{_film(video, experiment)}{_tiles(facts)}</div>',
        _learning(learning),
        _accuracy(accuracy, experiment, facts),
        _episodes(episodes, experiment),
        _provenance(facts),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<title>{_text(title)}</title><link rel="icon" href="data:,"><style>{STYLE}</style></head>\n<body><main>'
        + "\n".join(part for part in parts if part)
        + "</main></body></html>\n"
    )


def _header(facts: RunFacts) -> str:
    task, robot = facts.experiment.task, facts.experiment.robot
    return (
        f'<header><div class="title"><h1>{_text(task.name)} with {_text(robot.name)}</h1>{_badge(facts)}</div>'
        f'<p class="lead">A policy trained with PPO in PyBullet {_purpose(facts.experiment)}</p>'
        "</header>"
    )


def _purpose(experiment: Experiment) -> str:
    task, tolerance = experiment.task, f"{experiment.task.success.tolerance * 1e3:g}&nbsp;mm"
    length = f"a {task.episode_length:g}&nbsp;s episode"
    if isinstance(task, FlightTaskSpec):
        return (
            f"to fly through {task.success.waypoints} waypoints in turn, within {tolerance} of each, in {length} from"
            " random starts, without leaving its cage."
        )
    return (
        f"to bring the tool of a {len(experiment.arm.joints)}-joint arm within {tolerance} of a goal and hold it there"
        f" for the last {task.success.hold:g}&nbsp;s of {length}, from random start poses."
    )


def _badge(facts: RunFacts) -> str:
    summary = facts.summary
    if summary is None:
        return '<span class="badge neutral">not judged yet</span>'
    bar = facts.experiment.task.success.bar
    passed = summary["success_rate"] >= bar
    word = f"{'passes' if passed else 'below'} the {_percent(bar)} bar"
    return f'<span class="badge {"good" if passed else "bad"}">{word}</span>'


def _notice(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    items = "".join(f"<li>{_text(sentence)}</li>" for sentence in missing)
    return f'<div class="card notice"><h3>This report is not complete</h3><ul>{items}</ul></div>'


def _film(video: bytes | None, experiment: Experiment) -> str:
    if video is None:
        return ""
    tolerance = experiment.task.success.tolerance * 1e3
    source = "data:image/gif;base64," + base64.b64encode(video).decode("ascii")
    return (
        f'<figure class="card film"><img src="{source}" alt="The arm reaching for its goals, in simulation">'
        "<figcaption>The exported network at the controls, in physics, in real time. The small ball is the"
        f' {tolerance:g}&nbsp;mm tolerance: <i class="dot" style="background:#ffb020"></i>on the way,'
        ' <i class="dot" style="background:#34d399"></i>within it. The first episodes of an evaluation,'
        " not picked.</figcaption></figure>"
    )


def _tiles(facts: RunFacts) -> str:
    summary, result = facts.summary, facts.result
    tiles = [_success_tile(facts)]
    if summary is not None:
        error, settle = summary["final_error_m"], summary["settle_time_s"]
        tiles.append(_tile(f"{error['mean'] * 1e3:.2f}", "mm", "final error, mean"))
        tiles.append(_tile(f"{error['p95'] * 1e3:.2f}", "mm", "final error, 95th percentile"))
        if settle:
            tiles.append(_tile(f"{settle['mean']:.2f}", "s", f"settle time, mean ({settle['p95']:.2f} s p95)"))
    last = facts.records[-1] if facts.records else {}
    steps = result.get("steps") or last.get("steps")
    if isinstance(steps, int):
        passed = result.get("steps_to_bar")
        bar = _percent(facts.experiment.task.success.bar)
        note = f"to this policy; {bar} passed at {_count(passed)}" if isinstance(passed, int) else "in environments"
        tiles.append(_tile(_count(steps), "steps", note))
    wall = last.get("wall_s")
    if isinstance(wall, int | float) and wall > 0:
        cores = (facts.provenance.get("machine") or {}).get("cores")
        value, unit = _duration(wall).split()
        tiles.append(_tile(value, unit, f"training time{f' on {cores} cores' if cores else ''}"))
        tiles.append(_tile(f"{last['steps'] / wall:,.0f}", "/s", "steps, learning included"))
    if facts.bundle is not None:
        tiles.append(_tile(_short(facts.bundle.id), "", "policy bundle", "tile id"))
    commit = facts.provenance.get("git_commit")
    if isinstance(commit, str):
        dirty = ", with changes" if facts.provenance.get("git_dirty") else ""
        tiles.append(_tile(_short(commit), "", f"git commit{dirty}", "tile id"))
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _success_tile(facts: RunFacts) -> str:
    summary = facts.summary
    if summary is None:
        return '<div class="card tile first"><b>–</b><span>success rate: this run was not evaluated yet</span></div>'
    (low, high), rate = summary["success_ci95"], summary["success_rate"]
    start = 0.0 if low < _METER_FROM else _METER_FROM
    left, right = ((value - start) / (1.0 - start) * 100 for value in (low, high))
    needed = facts.experiment.task.success.bar
    bar = max(0.0, (needed - start) / (1.0 - start)) * 100
    who = "the exported policy" if facts.evaluation is not None else "the policy while it trained"
    return (
        f'<div class="card tile first"><b>{rate * 100:.4g}<small>%</small></b><span>success rate of {who} over'
        f" {summary['episodes']:,} episodes. 95&nbsp;% Wilson interval: {low * 100:.2f}"
        f"&nbsp;to&nbsp;{high * 100:.2f}&nbsp;%</span>"
        f'<div class="meter"><i style="left:{left:.2f}%;width:{max(right - left, 0.8):.2f}%"></i>'
        f'<u style="left:{bar:.2f}%"></u></div><span>The interval between {start * 100:.0f} and 100&nbsp;%; the mark is'
        f" the bar of {needed * 100:g}&nbsp;%.</span></div>"
    )


def _percent(share: float) -> str:
    return f"{share * 100:g} %"


def _tile(value: str, unit: str, label: str, look: str = "tile") -> str:
    small = f"<small>{_text(unit)}</small>" if unit else ""
    return f'<div class="card {look}"><b>{_text(value)}{small}</b><span>{_text(label)}</span></div>'


def _learning(charts: Sequence[Chart]) -> str:
    lead = (
        "Every iteration of training, over the steps that all environments took together. Pale lines are single"
        " iterations, strong ones their running mean."
    )
    body = "".join(_figure(chart, wide=place == 0) for place, chart in enumerate(charts))
    return _section("learning", "How it learned", lead, f'<div class="charts">{body}</div>' if charts else "")


def _accuracy(charts: Sequence[Chart], experiment: Experiment, facts: RunFacts) -> str:
    count = len(facts.evaluation.episodes) if facts.evaluation is not None else 0
    lead = (
        f"The exported policy over {count:,} episodes with goals drawn uniformly from the robot's workspace (dashed)."
        if charts
        else ""
    )
    body = "".join(_figure(chart) for chart in charts)
    return _section("accuracy", "Where it arrives", lead, f'<div class="charts two">{body}</div>' if charts else "")


def _episodes(episodes: Sequence[EpisodeCharts], experiment: Experiment) -> str:
    lead = (
        "The first episodes of an evaluation, not picked; the film shows the same ones. Joint angles in degrees over"
        " seconds, all at one scale; the bar at the right is the joint's whole range and what the episode used of it."
    )
    keys = (
        '<p class="lead small"><i class="key" style="color:var(--blue);margin-left:0"></i>true position'
        '<i class="key dash" style="color:var(--orange)"></i>target sent to the joint'
        '<i class="key" style="color:var(--red)"></i>joint limit, where near</p>'
    )
    cards = []
    for number, episode in enumerate(episodes, 1):
        joints = "".join(
            f'<figure><figcaption><code>{_text(chart.title)}</code><span class="unit">{_text(chart.unit)}</span>'
            f"</figcaption>{chart.svg}</figure>"
            for chart in episode.joints
        )
        word, look = ("success", "good") if episode.success else ("failure", "bad")
        cards.append(
            f'<div class="card episode"><div class="title"><h3>Episode {number}</h3><span class="badge {look}">{word}'
            f"</span></div><p>{_text(episode.words)}</p>{_figure(episode.error, card=False)}"
            f'<div class="joints">{joints}</div></div>'
        )
    return _section("episodes", "A few episodes from the inside", lead, keys + "".join(cards) if cards else "")


def _provenance(facts: RunFacts) -> str:
    origin, result = facts.provenance, facts.result
    rows: list[tuple[str, Any]] = [
        ("run directory", facts.directory.resolve()),
        ("git commit", origin.get("git_commit") or "unknown"),
        ("uncommitted changes", "yes" if origin.get("git_dirty") else "no"),
        ("seed", facts.experiment.seed),
        ("bundle", facts.bundle.id if facts.bundle else "none"),
        ("URDF", f"SHA-256 {facts.experiment.robot.description_hash}"),
        ("ppo_robot", origin.get("ppo_robot", "unknown")),
        ("Python", origin.get("python", "unknown")),
    ]
    rows += sorted((origin.get("libraries") or {}).items())
    machine = origin.get("machine") or {}
    rows.append(("machine", ", ".join(f"{name} {value}" for name, value in machine.items()) or "unknown"))
    if isinstance(result.get("cpu_seconds"), int | float):
        rows.append(("CPU time", f"{_duration(result['cpu_seconds'])} (learner)"))
    table = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in rows)
    figures = json.dumps(result, indent=2, ensure_ascii=False) if result else ""
    body = (
        f"<pre>{_text(reproduction(facts))}</pre>"
        f'<details class="card"><summary>Where it comes from</summary><dl>{table}</dl></details>'
        f'<details class="card"><summary>Resolved configuration</summary><pre>{_text(facts.config)}</pre></details>'
    )
    if figures:
        body += f'<details class="card"><summary>Result, as JSON</summary><pre>{_text(figures)}</pre></details>'
    made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    body += f"<footer>Written by ppo-robot {_text(__version__)} on {_text(made)}. This page needs no network.</footer>"
    lead = "One command, at the commit below. Same seed, same machine: the same run, bit for bit."
    return _section("reproduce", "Make it again", lead, body)


def _section(name: str, title: str, lead: str, body: str) -> str:
    if not body:
        lead, body = "Nothing to show yet; the box at the top says why.", ""
    return f'<section id="{name}"><h2>{_text(title)}</h2><p class="lead">{_text(lead)}</p>{body}</section>'


def _figure(chart: Chart, wide: bool = False, card: bool = True) -> str:
    note = f"<p>{_text(chart.note)}</p>" if chart.note else ""
    return (
        f'<figure class="{"card " * card}chart{" wide" * wide}"><figcaption><h3>{_text(chart.title)}'
        f'<span class="unit">{_text(chart.unit)}</span></h3>{note}</figcaption>{chart.svg}</figure>'
    )


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)


def _short(identity: str) -> str:
    return identity.removeprefix("sha256:")[:9]


def _count(value: float) -> str:
    return f"{value / 1e6:.2f}M" if value >= 1e6 else f"{value / 1e3:.0f}k" if value >= 1e4 else f"{value:,.0f}"


def _duration(seconds: float) -> str:
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"
