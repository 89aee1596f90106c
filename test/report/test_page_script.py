"""The page's own JavaScript, where there is a node to run it: syntax, and the arithmetic under the charts."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from ppo_robot.report.page import SCRIPTS, _asset

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="there is no node here")


def run(script):
    done = subprocess.run([NODE, "-e", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_scripts_are_javascript():
    whole = "".join(_asset(name) for name in SCRIPTS)
    assert run(f"new Function({json.dumps(whole)}); console.log('true')") is True


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("lowerBound([1, 2, 2, 5], 2)", 1),
        ("lowerBound([1, 2, 2, 5], 6)", 4),
        ("lowerBound([], 1)", 0),
        ("[niceStep(10, 5), niceStep(9, 4), niceStep(0.03, 7)]", [2, 5, 0.005]),
        ("[clock(1.25, 0.01), clock(59.999, 1), clock(599.97, 50), clock(125.5, 0.1)]",
         ["1.25 s", "1:00", "10:00", "2:05.5"]),
        ("(() => { const v = new View(10); v.show(8, 14); return [v.from, v.to]; })()", [4, 10]),
        ("(() => { const v = new View(10); v.zoom(0.5, 2); return [v.from, v.to]; })()", [1, 6]),
        ("(() => { const v = new View(10); v.show(2, 4); v.pan(-3); return [v.from, v.to]; })()", [0, 2]),
    ],
)  # fmt: skip
def test_arithmetic_under_the_charts(expression, expected):
    script = _asset("view.js") + f"; View.prototype.changed = () => {{}}; console.log(JSON.stringify({expression}))"
    assert run(script) == expected
