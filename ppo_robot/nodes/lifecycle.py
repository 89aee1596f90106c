"""A lifecycle node that survives its callers: rclpy's own dies of an invalid request and hides exceptions."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from ppo_robot.errors import PpoRobotError

AUTOSTART_PERIOD = 0.5
"""s between two tries of a node that starts by itself."""

Transition = Callable[[LifecycleState], TransitionCallbackReturn]


class SafeLifecycleNode(LifecycleNode):
    """Answers an invalid transition with failure (rclpy #1209 lets it out of `spin`), and logs what a transition raised
    before failing it (rclpy #1673 drops it).

    Subclasses write `configure`, `activate`, `deactivate` and `cleanup`, which return nothing and may raise.
    """

    def __init__(self, name: str, **options: Any) -> None:
        """Create the node and guard its change_state service."""
        super().__init__(name, **options)
        service = self._service_change_state
        self._unguarded = service.callback
        service.callback = self._change_state

    def start_by_itself(self) -> None:
        """Configure and activate, again and again until it works; a person's transition ends that."""
        self._starter = self.create_timer(AUTOSTART_PERIOD, self._try_to_start)

    def _try_to_start(self) -> None:
        state = self._state_machine.current_state[1]
        if state == "unconfigured":
            self.trigger_configure()
        elif state == "inactive":
            self.trigger_activate()
        if self._state_machine.current_state[1] == "active":
            self._starter.cancel()

    def configure(self) -> None:
        """Prepare; called on the way from unconfigured to inactive."""

    def activate(self) -> None:
        """Begin; called on the way from inactive to active."""

    def deactivate(self) -> None:
        """End; called on the way from active to inactive."""

    def cleanup(self) -> None:
        """Give back what `configure` took."""

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `configure`, then rclpy's own."""
        return self._run("configure", self.configure, super().on_configure, state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run rclpy's own first: publishers must be enabled before the first tick publishes."""
        result = super().on_activate(state)
        if result != TransitionCallbackReturn.SUCCESS:
            return result
        result = self._run("activate", self.activate, None, state)
        if result != TransitionCallbackReturn.SUCCESS:
            super().on_deactivate(state)
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `deactivate`, then rclpy's own."""
        return self._run("deactivate", self.deactivate, super().on_deactivate, state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run `cleanup`, then rclpy's own."""
        return self._run("cleanup", self.cleanup, super().on_cleanup, state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Leave whatever state the node is in."""
        if state.label == "active":
            self.on_deactivate(state)
        if state.label in ("active", "inactive"):
            self.on_cleanup(state)
        return super().on_shutdown(state)

    def _run(
        self, name: str, work: Callable[[], None], then: Transition | None, state: LifecycleState
    ) -> TransitionCallbackReturn:
        try:
            work()
        except PpoRobotError as error:
            self.get_logger().error(f"{name} refused: {error}")
            return TransitionCallbackReturn.FAILURE
        except Exception:  # noqa: BLE001 - rclpy would drop it without a word
            self.get_logger().error(f"{name} failed:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.FAILURE
        return then(state) if then is not None else TransitionCallbackReturn.SUCCESS

    def _change_state(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        wanted = request.transition
        offered = self._state_machine.available_transitions
        if not any(wanted.label == label if wanted.label else wanted.id == number for number, label, *_ in offered):
            state = self._state_machine.current_state[1]
            names = ", ".join(label for _, label, *_ in offered)
            asked = wanted.label or wanted.id
            self.get_logger().warning(f"transition '{asked}' is not possible in state '{state}'; possible: {names}")
            response.success = False
            return response
        answer: ChangeState.Response = self._unguarded(request, response)
        return answer
