"""The page about a recording: head, charts, tables. Everything that comes from a file is escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Any

from ppo_robot import __version__
from ppo_robot.report.content import STATE_COLOURS, Content
from ppo_robot.report.drift import MAJOR, MINOR, Drift
from ppo_robot.report.envelope import STATES, Event
from ppo_robot.report.latency import QUANTILES, Latency
from ppo_robot.report.recorded import Recorded
from ppo_robot.report.style import STYLE

SCRIPTS = ("view.js", "plot.js", "page.js")
_MOST_DRIFT = 16


def page(content: Content) -> str:
    """Return the whole page as HTML."""
    recorded = content.recorded
    parts = [
        _header(content),
        _notice(content.missing),
        f'<div class="tiles">{"".join(_tile(*tile) for tile in content.tiles)}</div>',
        _timeline(content),
        _events(content.events),
        _goal(content),
        _joints(content),
        _latency(content),
        _drift(content.drift, recorded),
        _provenance(content),
    ]
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>Recording {_text(recorded.name)}</title>"
        f'<link rel="icon" href="data:,"><style>{STYLE}{_asset("plot.css")}</style></head>\n'
        f'<body><main class="wide">{body}</main>\n'
        f'<script type="application/json" id="data">{_json(content.data)}</script>\n'
        f"<script>{''.join(_asset(name) for name in SCRIPTS)}</script></body></html>\n"
    )


@cache
def _asset(name: str) -> str:
    return resources.files("ppo_robot.report").joinpath("assets", name).read_text(encoding="utf-8")


def _json(data: Any) -> str:
    # No text of a file can end the element that it stands in.
    return json.dumps(data, allow_nan=False, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")


def _header(content: Content) -> str:
    good = content.verdict[1]
    return (
        f'<header><div class="title"><h1>{_text(content.title)}</h1>'
        f'<span class="badge {good}">{_text(content.verdict[0])}</span></div>'
        f'<p class="lead">{_text(content.lead)}</p></header>'
    )


def _notice(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    items = "".join(f"<li>{_text(sentence)}</li>" for sentence in missing)
    return f'<div class="card notice"><h3>What this recording lacks</h3><ul>{items}</ul></div>'


def _tile(value: str, unit: str, label: str, look: str = "tile") -> str:
    small = f"<small>{_text(unit)}</small>" if unit else ""
    return f'<div class="card {look}"><b>{_text(value)}{small}</b><span>{_text(label)}</span></div>'


def _timeline(content: Content) -> str:
    seen = sorted({state for _, _, state in content.data["states"]["spans"]})
    keys = "".join(
        f'<span><i class="swatch" style="background:var(--{STATE_COLOURS[state]})"></i>{STATES[state].value}</span>'
        for state in seen
    )
    states = f'<div class="states"><span>Envelope:</span>{keys}</div>' if seen else ""
    return (
        f'<div id="timeline"><canvas tabindex="-1" aria-label="The whole recording"></canvas></div>{states}'
        '<p class="hint">Drag across a chart to look closer, with shift (or one finger) to move along; ctrl and wheel,'
        " or two fingers, to zoom; double click for everything. Click a name to switch its curve."
        f" {_text(content.cut)}</p>"
        "<noscript><p>The charts need JavaScript; the tables do not.</p></noscript>"
    )


def _events(events: Sequence[Event]) -> str:
    rows = "".join(
        f'<tr data-at="{event.time:.4f}"><td>{event.time:.2f} s</td>'
        f'<td class="left"><span class="kind {event.level}">{_text(event.kind)}</span></td>'
        f'<td class="words">{_text(event.text)}</td></tr>'
        for event in events
    )
    body = (
        f'<div class="card scroll events"><table><tr><th>time</th><th class="left">what</th><th class="left"></th></tr>'
        f"{rows}</table></div>"
        if rows
        else ""
    )
    return _section("events", "What happened", "Click a line to see that moment in every chart.", body)


def _goal(content: Content) -> str:
    if not content.approaches:
        return ""
    lead = "The tool by forward kinematics of the measured joints, against the goal that the policy had."
    rows = "".join(
        f'<tr data-at="{way.start:.4f}"><td>{way.start:.2f} s</td>'
        f'<td class="left">{", ".join(f"{axis:.3f}" for axis in way.goal)}</td><td>{way.end - way.start:.2f} s</td>'
        f"<td>{way.first * 1e3:.1f} mm</td><td>{way.last * 1e3:.2f} mm</td>"
        f"<td>{'not' if way.within is None else f'{way.within:.2f} s'}</td></tr>"
        for way in content.approaches
    )
    table = (
        '<div class="card scroll events" style="margin-top:10px"><table><tr><th>from</th><th class="left">goal, m</th>'
        "<th>for</th><th>error at first</th><th>error at last</th><th>within tolerance after</th></tr>"
        f"{rows}</table></div>"
    )
    return _section("goal", "Error to the goal", lead, f'<div class="plots" data-group="goal"></div>{table}')


def _joints(content: Content) -> str:
    lead = (
        "What the policy asked for, what the safety envelope commanded (its curve follows the targets two control"
        " periods behind), and what was measured. Where the envelope stepped in, the chart is tinted and the strip at"
        " its top has the colour of the reason."
    )
    tabs = "".join(
        f'<button type="button" data-tab="{name}" aria-pressed="{str(place == 0).lower()}">{name}</button>'
        for place, name in enumerate(("position", "velocity", "action"))
    )
    hosts = "".join(
        f'<div id="tab-{name}"{" hidden" * (place > 0)}>'
        f'<div class="plots" data-group="{name}" data-switches></div></div>'
        for place, name in enumerate(("position", "velocity", "action"))
    )
    body = f'<div class="tabs">{tabs}</div>{hosts}{_limits(content)}' if content.data["charts"] else ""
    return _section("joints", "Joints", lead, body)


def _limits(content: Content) -> str:
    if not content.limited:
        return ""
    names = content.recorded.joint_names
    head = "".join(f"<th>{_text(name)}</th>" for name in names)
    rows = "".join(
        f'<tr><td><i class="swatch" style="background:var(--{colour})"></i>{_text(name)}</td>'
        + "".join(f"<td>{share * 100:.2f} %</td>" for share in shares)
        + f'<td class="words">{_text(words)}</td></tr>'
        for name, colour, words, shares in content.limited
    )
    return (
        '<h3 style="margin-top:18px">Why the envelope limited a joint, as a share of its cycles</h3>'
        f'<div class="card scroll" style="margin-top:8px"><table><tr><th>reason</th>{head}<th></th></tr>{rows}'
        "</table></div>"
    )


def _latency(content: Content) -> str:
    found = content.latency
    if found is None:
        return ""
    lead = "The stages of a tick, each beginning where the one before ended, over every tick that was recorded."
    if not found.timed:
        lead = "Time was simulated, and no stage took any."
    elif content.recorded.simulated:
        lead += " Time was simulated: only the stages inside the policy node were real, and the rest cannot be told."
    waterfall = (
        '<div class="card pad" style="margin-top:10px"><h3>A tick, stage by stage</h3><div id="waterfall"></div>'
        '<p class="hint">The thin grey line behind a bar is the 99th percentile of that stage. Point at a chart to see'
        " the tick of that moment.</p></div>"
        if found.timed
        else ""
    )
    charts = '<div class="plots" data-group="latency" style="margin-top:10px"></div>'
    return _section("latency", "Latency and jitter", lead, _percentiles(found) + waterfall + charts)


def _percentiles(found: Latency) -> str:
    head = "".join(f"<th>p{100 * share:g}</th>" for share in QUANTILES)
    lines = []
    for row in found.table:
        cells = "".join(f"<td>{value * 1e3:.3f}</td>" for value in (*row.quantiles, row.maximum))
        look = ' class="total"' if row.name in ("sensor_to_command", "tick") else ""
        lines.append(
            f"<tr{look}><td><code>{row.name}</code></td>{cells}<td>{row.count:,}</td>"
            f'<td class="words">{row.words}</td></tr>'
        )
    return (
        f'<div class="card scroll"><table><tr><th>ms</th>{head}<th>max</th><th>ticks</th>'
        f'<th class="left"></th></tr>{"".join(lines)}</table></div>'
    )


def _drift(rows: Sequence[Drift] | None, recorded: Recorded) -> str:
    if not rows:
        return ""
    lead = (
        "The population stability index of every observation and action, against the ten bins of equal share that the"
        f" bundle was judged on. Above {MINOR:g} a component has shifted, above {MAJOR:g} a lot. A robot that went to"
        " few goals differs for that reason alone: look at the share outside the range first."
    )
    worst = max(rows[0].psi, MAJOR)
    lines = "".join(
        f'<tr><td><code>{_text(row.name)}</code> <span class="unit">{row.part}</span></td><td>{row.psi:.3f}</td>'
        f'<td class="left"><span class="bar" style="width:{110 * row.psi / worst:.0f}px;'
        f'background:var(--{_alarm(row)})"></span></td>'
        f"<td>{row.outside * 100:.2f} %</td><td>{row.mean:.3f}</td><td>{row.trained_mean:.3f}</td></tr>"
        for row in rows[:_MOST_DRIFT]
    )
    rest = len(rows) - _MOST_DRIFT
    more = f'<p class="hint">{rest} more components differ less.</p>' if rest > 0 else ""
    body = (
        '<div class="card scroll"><table><tr><th>component</th><th>PSI</th><th></th><th>outside the range</th>'
        f"<th>mean here</th><th>mean when judged</th></tr>{lines}</table></div>{more}"
    )
    return _section("drift", "Drift", lead, body)


def _alarm(row: Drift) -> str:
    return "red" if row.psi >= MAJOR else "orange" if row.psi >= MINOR else "green"


def _provenance(content: Content) -> str:
    table = "".join(f"<dt>{_text(name)}</dt><dd>{_text(value)}</dd>" for name, value in content.facts)
    topics = "".join(
        f'<tr><td><code>{_text(topic.name)}</code></td><td class="left">{_text(topic.type)}</td>'
        f"<td>{topic.messages:,}</td></tr>"
        for topic in content.recorded.topics
    )
    body = f'<div class="card pad"><dl style="margin:0">{table}</dl></div>'
    if topics:
        body += (
            '<details class="card"><summary>Topics of the bag</summary><div class="scroll"><table><tr><th>topic</th>'
            f'<th class="left">type</th><th>messages</th></tr>{topics}</table></div></details>'
        )
    made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    body += (
        f"<footer>Written by ppo-robot {_text(__version__)} on {_text(made)}. This page needs no network.</footer>"
    )
    return _section("origin", "Where it comes from", "", body)


def _section(name: str, title: str, lead: str, body: str) -> str:
    if not body:
        return ""
    words = f'<p class="lead">{_text(lead)}</p>' if lead else ""
    return f'<section id="{name}"><h2>{_text(title)}</h2>{words}{body}</section>'


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)
