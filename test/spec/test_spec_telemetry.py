"""The telemetry section of a deployment."""

from __future__ import annotations

from typing import Any

import pytest

from ppo_robot.errors import SpecError
from ppo_robot.spec.deployment import DeploymentSpec, load_deployment
from ppo_robot.spec.strict import build


def made(section: dict[str, Any]) -> DeploymentSpec:
    tree = {"controller": {"name": "arm"}, "hardware": False, "telemetry": section}
    return build(DeploymentSpec, tree, "robot.yaml")


def test_a_threshold_may_be_taken_away_and_the_endpoint_is_off() -> None:
    spec = made({"latency_error": None, "misses_warn": 0.02}).telemetry
    assert (spec.latency_error, spec.misses_warn, spec.latency_warn) == (None, 0.02, 0.05)
    assert (spec.prometheus_port, spec.prometheus_address) == (None, "127.0.0.1")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"latency_warn": 0.2}, "telemetry: latency_error: given 0.1; expected at least latency_warn 0.2, or null"),
        ({"latencywarn": 0.2}, "telemetry.latencywarn: unknown key; did you mean 'latency_warn'"),
        ({"prometheus_port": 0}, "telemetry.prometheus_port: given 0; expected a value >= 1 and <= 65535"),
        ({"prometheus_address": "localhost"}, "prometheus_address: given 'localhost'; expected an IP address"),
        ({"drift_ticks": 0}, "telemetry.drift_ticks: given 0"),
    ],
)
def test_a_wrong_value_is_named(section: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError) as raised:
        made(section)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["sim", "forward_position", "joint_trajectory"])
def test_the_deployments_that_we_ship_name_their_thresholds(name: str) -> None:
    spec = load_deployment(name).telemetry
    assert spec.latency_warn is not None
    assert spec.prometheus_port is None
