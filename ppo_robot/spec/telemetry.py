"""What a deployment asks of the telemetry node: from which figures on a person is told, and where a monitor reads."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from ppo_robot.spec.strict import setting

PAIRS = ("latency", "misses", "intervention", "drift", "outside")


@dataclass(frozen=True)
class TelemetrySpec:
    """Thresholds and window of the telemetry node. A threshold of null never tells."""

    window: float = setting(10.0, low=1.0, high=600.0, doc="s, of the figures that are compared with thresholds")
    latency_warn: float | None = setting(0.05, above=0.0, doc="s, p99 from sensor stamp to controller")
    latency_error: float | None = setting(0.1, above=0.0, doc="s, the same")
    misses_warn: float | None = setting(0.01, low=0.0, high=1.0, doc="share of control periods without an action")
    misses_error: float | None = setting(0.1, low=0.0, high=1.0, doc="the same")
    intervention_warn: float | None = setting(0.05, low=0.0, high=1.0, doc="share of cycles that the envelope changed")
    intervention_error: float | None = setting(0.5, low=0.0, high=1.0, doc="the same")
    drift_warn: float | None = setting(5.0, above=0.0, doc="population stability index of any component")
    drift_error: float | None = setting(None, above=0.0, doc="the same")
    outside_warn: float | None = setting(0.05, low=0.0, high=1.0, doc="share of ticks outside training's range")
    outside_error: float | None = setting(0.5, low=0.0, high=1.0, doc="the same")
    drift_window: float = setting(60.0, low=1.0, high=3600.0, doc="s, over which drift is measured")
    drift_ticks: int = setting(1000, low=1, doc="ticks that the window must hold before drift and outside tell")
    drift_goals: int = setting(10, low=1, doc="goals that the window must hold before drift tells; training has many")
    prometheus_port: int | None = setting(None, low=1, high=65535, doc="of the endpoint for Prometheus; null: none")
    prometheus_address: str = setting("127.0.0.1", doc="address that the endpoint is bound to")

    def __post_init__(self) -> None:
        for name in PAIRS:
            warn, error = getattr(self, f"{name}_warn"), getattr(self, f"{name}_error")
            if warn is not None and error is not None and error < warn:
                raise ValueError(f"{name}_error: given {error:g}; expected at least {name}_warn {warn:g}, or null")
        try:
            ipaddress.ip_address(self.prometheus_address)
        except ValueError:
            raise ValueError(
                f"prometheus_address: given {self.prometheus_address!r}; expected an IP address, such as 127.0.0.1"
                " for this machine alone, or 0.0.0.0 for all of its networks"
            ) from None
