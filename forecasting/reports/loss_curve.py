"""The chart of a model's loss."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from forecasting.reports.colors import BLUE, GREY, INK, MUTED, RED
from forecasting.reports.drawing import DASHES, DPI, frame, label_ends, mark_steps, new_axes, to_png, write

_INCHES = (9.0, 4.0)


def draw_loss_curve(history: Mapping[str, Sequence[float]]) -> bytes:
    """Draw training and validation loss by training step, with the best step marked: 900 x 400 pixels, PNG.

    Args:
        history: `step`, `loss` and `val_loss`, of equal length and not empty.
    """
    figure = Figure(figsize=_INCHES, dpi=DPI, facecolor="white")
    axes = new_axes(figure, (0.085, 0.12, 0.755, 0.66))
    step, loss, val_loss = (np.asarray(history[key], dtype=float) for key in ("step", "loss", "val_loss"))
    best = int(np.nanargmin(val_loss))
    marker = "o" if len(step) == 1 else ""
    axes.axvline(step[best], color=GREY, linewidth=1, linestyle=DASHES)
    axes.plot(step, loss, color=BLUE, linewidth=2, marker=marker)
    axes.plot(step, val_loss, color=RED, linewidth=2, marker=marker)
    axes.plot(step[best], val_loss[best], "o", color=RED, markersize=8)
    frame(axes, (step[0], max(step[-1], step[0] + 1)), np.concatenate([loss, val_loss]))
    mark_steps(axes)
    label_ends(axes, [(loss[-1], "training", BLUE), (val_loss[-1], "validation", RED)])
    best_words = f"best at step {step[best]:,.0f}, validation loss {val_loss[best]:.4g}"
    write(axes, (0.02, 0.9), 15, [("Loss by training step", INK, "bold")])
    write(axes, (0.02, 0.83), 11, [(best_words, MUTED, "normal")])
    return to_png(figure)
