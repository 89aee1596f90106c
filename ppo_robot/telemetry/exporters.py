"""The figures of a monitor as Prometheus reads them, over HTTP from this machine alone unless told otherwise."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from ppo_robot.errors import BadInputError
from ppo_robot.telemetry.histogram import BoundedCounts
from ppo_robot.telemetry.monitor import Monitor, drops

PREFIX = "ppo_robot"


class MonitorCollector(Collector):
    """Reads a monitor when it is asked, under the lock of who fills it."""

    def __init__(self, monitor: Monitor, lock: threading.Lock, now: Callable[[], float]) -> None:
        """Prepare; `now` is the monotonic clock of the monitor, s."""
        self._monitor, self._lock, self._now = monitor, lock, now

    def describe(self) -> list[Metric]:
        """Return nothing: the names do not need to be known beforehand."""
        return []

    def collect(self) -> list[Metric]:
        """Return every metric."""
        with self._lock:
            return [*self._control(), *self._latencies(), *self._safety(), *self._rest()]

    def _control(self) -> Iterator[Metric]:
        line = self._monitor.timeline
        counters = line.schedule.counters
        yield _counter("control_ticks", "Control periods in which the policy acted.", line.ticks)
        yield _counter("deadline_misses", "Control periods that ended without an action.", counters.missed)
        text = "Most control periods in a row that ended without an action."
        yield GaugeMetricFamily(f"{PREFIX}_longest_deadline_miss_run", text, counters.longest_run)
        yield _counter("telemetry_rows_lost", "Ticks whose telemetry never arrived.", line.lost_rows)
        unpaired = _counter("unpaired_ticks", "Ticks that could not be followed to a command.", labels=["part"])
        for part, count in sorted(line.unpaired.items()):
            unpaired.add_metric([part], count)
        yield unpaired
        info = InfoMetricFamily(f"{PREFIX}_policy", "The policy that acts.")
        if self._monitor.policy_info:
            info.add_metric([], self._monitor.policy_info)
        yield info

    def _latencies(self) -> Iterator[Metric]:
        text = "Time that a tick spends in each stage."
        stages = HistogramMetricFamily(f"{PREFIX}_stage_latency_seconds", text, labels=["stage"])
        whole = None
        for name, counts in self._monitor.timeline.buckets.items():
            if name == "end_to_end":
                whole = counts
            else:
                stages.add_metric([name], *_buckets(counts))
        yield stages
        if whole is not None:
            text = "Time from the sensor's stamp to the arrival of the command that came of it."
            family = HistogramMetricFamily(f"{PREFIX}_action_latency_seconds", text)
            family.add_metric([], *_buckets(whole))
            yield family

    def _safety(self) -> Iterator[Metric]:
        counters = self._monitor.counters.get("safety", {})
        stops = _counter("safety_stops", "Stops that were asked for or caused.", labels=["cause"])
        limits = _counter("safety_limits", "Cycles in which a joint was limited.", labels=["joint", "reason"])
        for key, count in sorted(counters.items()):
            kind, *names = key.split("/")
            if kind == "stop" and len(names) == 1:
                stops.add_metric(names, count)
            if kind == "limit" and len(names) == 2:
                limits.add_metric(names, count)
        yield stops
        yield limits
        share = self._monitor.intervention.share(self._now())
        text = "Share of the last cycles under the policy that the safety envelope changed."
        yield GaugeMetricFamily(f"{PREFIX}_intervention_ratio", text, share)

    def _rest(self) -> Iterator[Metric]:
        monitor = self._monitor
        recorder = monitor.counters.get("recorder")
        if recorder is not None:
            yield _counter("recorder_drops", "Messages that the recorder did not write.", drops(recorder))
        figures = monitor.drift_figures(self._now())
        if figures is None or monitor.drift is None:
            return
        text = "Population stability index of a component over the window, against training."
        psi = GaugeMetricFamily(f"{PREFIX}_drift_psi", text, labels=["component"])
        text = "Share of the window's ticks outside all that training saw."
        outside = GaugeMetricFamily(f"{PREFIX}_drift_outside_ratio", text, labels=["component"])
        for name, index, share in zip(monitor.drift.names, figures.psi, figures.outside, strict=True):
            psi.add_metric([name], float(index))
            outside.add_metric([name], float(share))
        yield psi
        yield outside


class Endpoint:
    """Serves the metrics of a collector at http://address:port/metrics until it is closed."""

    def __init__(self, collector: Collector, address: str, port: int) -> None:
        """Begin to serve; port 0 takes a free one.

        Raises:
            BadInputError: if the address cannot be bound, above all because the port is taken.
        """
        registry = CollectorRegistry(auto_describe=False)
        registry.register(collector)
        try:
            self._server, self._thread = start_http_server(port, addr=address, registry=registry)
        except OSError as error:
            raise BadInputError(
                f"telemetry.prometheus_port: port {port} of {address} cannot be used ({error.strerror or error});"
                " give a free port, or end the process that has it"
            ) from None
        self.port = int(self._server.server_port)

    def close(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _counter(name: str, text: str, value: float | None = None, labels: list[str] | None = None) -> CounterMetricFamily:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value=value, labels=labels)


def _buckets(counts: BoundedCounts) -> tuple[list[tuple[str, float]], float]:
    """Return cumulative buckets by their bound, as Prometheus writes it, and the sum."""
    names = [floatToGoString(bound) for bound in (*counts.bounds, float("inf"))]
    return list(zip(names, map(float, counts.cumulative()), strict=True)), counts.total
