"""The moving picture of a report: recorded episodes back to back, as an animated GIF that plays in real time."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ppo_robot.kinematics import RobotModel
from ppo_robot.sim.camera import Camera, GoalMark
from ppo_robot.spec.task import TaskSpec
from ppo_robot.training.report.episodes import EpisodeTrace

FRAME_PERIOD = 0.04
"""s; GIF counts in hundredths, and browsers slow down anything under 0.02."""

PAUSE = 0.6
"""s for which the end of an episode stands still."""

STILL = 5e-4
"""rad; less motion than this since the last rendered picture cannot be seen."""

MAXIMUM_BYTES = 1_900_000
"""A film that is larger gets fewer colours."""

_COLOURS = (168, 112, 64)
_GREY, _WHITE, _GREEN = (163, 175, 193), (236, 240, 245), (52, 211, 153)


def frame_count(traces: Sequence[EpisodeTrace]) -> int:
    """Return how many frames are rendered for these episodes."""
    return sum(len(_frame_rows(trace)) for trace in traces)


def episodes_gif(
    model: RobotModel,
    task: TaskSpec,
    traces: Sequence[EpisodeTrace],
    size: tuple[int, int] = (400, 320),
    on_progress: Callable[[int], None] | None = None,
) -> bytes:
    """Return the GIF of the episodes, one after the other, in an endless loop.

    Args:
        model: the robot.
        task: its tolerance colours the goal.
        traces: at least one.
        size: width and height, pixels.
        on_progress: called with the number of frames rendered.

    Raises:
        BadInputError: if PyBullet cannot load the robot's looks.
    """
    camera = Camera(model, task.simulation, *size)
    frames: list[Image.Image] = []
    durations: list[int] = []
    try:
        for number, trace in enumerate(traces):
            drawn: tuple[NDArray[np.float64], bool] | None = None
            rows = _frame_rows(trace)
            for row in rows:
                position = trace.joint_position[row]
                reached = bool(trace.error[row] <= task.success.tolerance)
                if drawn is None or reached != drawn[1] or np.abs(position - drawn[0]).max() > STILL:
                    mark = GoalMark(trace.goal, task.success.tolerance, reached)
                    picture = camera.render(position, mark, trace.tool_position[: row + 1])
                    drawn = (position, reached)
                caption = f"episode {number + 1} of {len(traces)}"
                frames.append(_with_caption(picture, caption, float(trace.time[row]), float(trace.error[row]), reached))
                durations.append(round(FRAME_PERIOD * 1000))
                if on_progress is not None:
                    on_progress(len(frames))
            durations[-1] += round(PAUSE * 1000)
    finally:
        camera.close()
    for colours in _COLOURS:
        film = encode_gif(frames, durations, colours)
        if len(film) <= MAXIMUM_BYTES:
            break
    return film


def encode_gif(frames: Sequence[Image.Image], durations: Sequence[int], colours: int) -> bytes:
    """Return an endless GIF of RGB frames, with durations in ms; all share one palette, so that little changes."""
    # The palette comes from frames all over the film; dithering would make every pixel of every frame new.
    samples = [frames[index] for index in np.linspace(0, len(frames) - 1, 9).round().astype(int)]
    width, height = samples[0].size
    sheet = Image.new("RGB", (width, height * len(samples)))
    for place, sample in enumerate(samples):
        sheet.paste(sample, (0, place * height))
    palette = _palette(sheet, colours)
    indexed = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    out = io.BytesIO()
    indexed[0].save(
        out,
        format="GIF",
        save_all=True,
        append_images=indexed[1:],
        duration=list(durations),
        loop=0,
        disposal=1,
        optimize=False,
    )
    return out.getvalue()


def _palette(sheet: Image.Image, count: int) -> Image.Image:
    """Return an image whose palette suits the sheet: most of it for what is common, the rest for what is rare.

    Median cut alone would give all colours to the floor and none to the goal.
    """
    colours: list[int] = []
    common = 2 * count // 3
    for method, share in ((Image.Quantize.MEDIANCUT, common), (Image.Quantize.MAXCOVERAGE, count - common)):
        part = sheet.quantize(share, method, dither=Image.Dither.NONE)
        colours += (part.getpalette() or [])[: 3 * share]
    for colour in (_GREY, _WHITE, _GREEN):
        colours += colour
    palette = Image.new("P", (1, 1))
    palette.putpalette(colours)
    return palette


def _frame_rows(trace: EpisodeTrace) -> list[int]:
    """Return which instants of an episode the frames show, at their real time."""
    period = float(trace.time[1] - trace.time[0]) if len(trace.time) > 1 else FRAME_PERIOD
    last = len(trace.time) - 1
    rows = np.rint(np.arange(0.0, trace.time[-1] + 1e-9, FRAME_PERIOD) / period).astype(int)
    return sorted({*np.minimum(rows, last).tolist(), last})


def _with_caption(picture: NDArray, caption: str, time: float, error: float, reached: bool) -> Image.Image:
    """Return the picture with the episode, its time and the tool's error written at the top."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    small, large = ImageFont.load_default(12), ImageFont.load_default(20)
    draw.text((14, 11), f"{caption}   {time:.2f} s", font=small, fill=_GREY)
    draw.text((14, 27), f"{error * 1e3:.1f} mm", font=large, fill=_GREEN if reached else _WHITE)
    return image
