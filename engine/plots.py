"""The pictures of a report, as SVG text that stands inside an HTML page and as PNG. Drawn with matplotlib, no fonts attached.

Names from the data are drawn as plain text: no TeX, and escaped by the SVG writer.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

INK, MUTED, LINE, PAPER = "#1d2733", "#6b7686", "#e3e7ec", "#ffffff"
ACCENT, SOFT, GOOD, BAD, WARM = "#2c6e8a", "#b9d3de", "#2f7d5b", "#b4483c", "#c08a2d"
STAGE_COLOURS = {"dummy": MUTED, "simple": "#8f7bb5", "standard": ACCENT, "research-informed": WARM, "refinement": GOOD}

_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "mle-star", "text.parse_math": False, "font.size": 10, "axes.edgecolor": LINE,
    "font.family": "sans-serif", "axes.labelcolor": MUTED, "xtick.color": MUTED, "ytick.color": INK, "text.color": INK,
    "axes.spines.top": False, "axes.spines.right": False, "axes.spines.left": False, "axes.grid": True, "grid.color": LINE,
    "grid.linewidth": 0.7, "axes.axisbelow": True, "xtick.major.size": 0, "ytick.major.size": 0, "axes.titlesize": 10,
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none", "axes.formatter.useoffset": False,
}  # fmt: skip
_WIDE, _HALF = 9.2, 4.4
"""Inches that fill the page's width and half of it, so that text has about the page's size in both."""
_PNG_DOTS_PER_INCH = 110
_LABEL_LENGTH = 44
_CURVE_BINS = 10
_POINTS = 1_500


@dataclass(frozen=True)
class Picture:
    """One plot: `<svg>` text for a page, and PNG bytes on white paper for clients that show images."""

    svg: str
    png: bytes


@contextmanager
def _drawing(width: float, height: float) -> Iterator[tuple[Figure, Any]]:
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.add_subplot()


def _picture(figure: Figure, title: str) -> Picture:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_PNG_DOTS_PER_INCH, facecolor=PAPER, metadata={"Software": None})
    return Picture(_svg(figure, title), out.getvalue())


def _svg(figure: Figure, title: str) -> str:
    """The figure as one `<svg>` element that scales with the page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    body = out.getvalue()
    body = body[body.index("<svg") :]
    body = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?) height="[^"]*"', r'\1 role="img" class="plot"', body, count=1)
    # Several figures share a page: what they define must not share names.
    stem = re.sub(r"\W+", "", title.lower())
    body = re.sub(r'\bid="', f'id="{stem}-', body)
    body = re.sub(r"url\(#", f"url(#{stem}-", body)
    return re.sub(r'href="#', f'href="#{stem}-', body)


def short(text: str, at_most: int = _LABEL_LENGTH) -> str:
    """Cut a label in the middle, so that its beginning and end stay readable."""
    text = " ".join(text.split())
    half = at_most // 2
    return text if len(text) <= at_most else f"{text[: half - 1]}…{text[-half:]}"


def estimates(
    metric: str,
    folds: Sequence[float],
    cv: tuple[float, tuple[float, float] | None],
    holdout: tuple[float, tuple[float, float] | None] | None,
    references: Sequence[tuple[str, float]],
) -> Picture:
    """Cross-validation and holdout score with their intervals, the folds as dots, baselines for scale."""
    rows: list[tuple[str, float, tuple[float, float] | None, str]] = [("cross-validation", *cv, ACCENT)]
    if holdout is not None:
        rows.append(("sealed holdout", *holdout, WARM))
    rows += [(name, score, None, MUTED) for name, score in references]
    with _drawing(_WIDE, 0.6 + 0.38 * len(rows)) as (figure, axes):
        for place, (_, score, interval, colour) in enumerate(rows):
            if interval is not None:
                axes.plot(interval, [place, place], color=colour, linewidth=6, alpha=0.28, solid_capstyle="round")
            axes.plot([score], [place], "o", color=colour, markersize=8)
        axes.plot(folds, np.zeros(len(folds)), "|", color=INK, markersize=11, alpha=0.55)
        axes.set_yticks(range(len(rows)), [short(row[0]) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel(metric)
        axes.grid(visible=False, axis="y")
        return _picture(figure, "estimates")


def progress(metric: str, scores: Sequence[float], stages: Sequence[str], greater_is_better: bool) -> Picture:
    """Every scored solution in the order it was tried, and the best so far."""
    values = np.asarray(scores, dtype=np.float64)
    best = np.maximum.accumulate(values) if greater_is_better else np.minimum.accumulate(values)
    numbers = np.arange(1, len(values) + 1)
    with _drawing(_WIDE, 3.0) as (figure, axes):
        axes.step(numbers, best, where="post", color=INK, linewidth=1.2, label="best so far")
        for stage in dict.fromkeys(stages):
            here = np.array([stage == other for other in stages])
            axes.plot(
                numbers[here], values[here], "o", color=STAGE_COLOURS.get(stage, "#8f7bb5"), markersize=6, label=stage,
                markeredgecolor=PAPER, markeredgewidth=0.7,
            )  # fmt: skip
        _frame_scores(axes, values)
        axes.set_xlabel("solutions in the order they were tried")
        axes.set_ylabel(metric)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(visible=False, axis="x")
        axes.legend(frameon=False, fontsize=8.5, ncols=3, loc="best")
        return _picture(figure, "progress")


def _frame_scores(axes: Any, values: np.ndarray) -> None:
    """Keep a floor far away (the dummy) from squeezing the rest; what lies outside is clipped."""
    low, high = np.quantile(values, [0.1, 0.9]) if len(values) > 5 else (values.min(), values.max())
    reach = max(high - low, 1e-3 * max(abs(high), 1e-9))
    axes.set_ylim(
        max(values.min(), low - 1.5 * reach) - 0.1 * reach, min(values.max(), high + 1.5 * reach) + 0.1 * reach
    )


def impacts(metric: str, rows: Sequence[dict[str, Any]], at_most: int = 14) -> Picture:
    """Score lost when a block is changed, with 95 % intervals, largest first."""
    shown = list(rows[:at_most])
    colours = {"HIGH": BAD, "MEDIUM": WARM, "LOW": SOFT}
    with _drawing(_WIDE, 0.65 + 0.3 * len(shown)) as (figure, axes):
        for place, row in enumerate(shown):
            axes.barh(place, row["impact"], height=0.62, color=colours.get(row["level"], SOFT))
            axes.plot(row["interval"], [place, place], color=INK, linewidth=1.1)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_yticks(range(len(shown)), [short(f"{row['block']} → {row['change']}") for row in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel(f"{metric} lost by the change (left of 0: the change is better)")
        axes.grid(visible=False, axis="y")
        return _picture(figure, "impacts")


def importance(metric: str, rows: Sequence[dict[str, Any]], at_most: int = 15) -> Picture:
    """Score lost when a column is shuffled, largest first."""
    shown = list(rows[:at_most])
    with _drawing(_HALF, 0.65 + 0.27 * len(shown)) as (figure, axes):
        axes.barh(range(len(shown)), [row["loss"] for row in shown], height=0.62, color=ACCENT)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_yticks(range(len(shown)), [short(row["column"], 24) for row in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel(f"{metric} lost when the column is shuffled")
        axes.grid(visible=False, axis="y")
        return _picture(figure, "importance")


def calibration(y: np.ndarray, probability: np.ndarray, label: str) -> Picture:
    """Reliability of out-of-fold probabilities `(n_rows,)` for the second class: promised against observed share."""
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, _CURVE_BINS) if len(part)]
    promised = [float(probability[part].mean()) for part in parts]
    observed = [float((y[part] == 1).mean()) for part in parts]
    error = [
        1.96 * np.sqrt(max(share * (1 - share), 1e-9) / len(part)) for share, part in zip(observed, parts, strict=True)
    ]
    with _drawing(_HALF, 3.9) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.errorbar(promised, observed, yerr=error, color=ACCENT, ecolor=SOFT, elinewidth=2, marker="o", markersize=5)
        axes.set(
            xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=short(f"predicted share of {label}"), ylabel="observed share"
        )
        axes.set_aspect("equal")
        return _picture(figure, "calibration")


def confusion(y: np.ndarray, predicted: np.ndarray, labels: Sequence[str], at_most: int = 12) -> Picture:
    """Out-of-fold class predictions against the truth, shares per true class; the most frequent classes of a long list."""
    frequent = np.sort(np.argsort(-np.bincount(y, minlength=len(labels)), kind="stable")[:at_most])
    table = np.zeros((len(frequent), len(frequent)))
    place = {int(code): number for number, code in enumerate(frequent)}
    for truth, guess in zip(y, predicted, strict=True):
        if int(truth) in place and int(guess) in place:
            table[place[int(truth)], place[int(guess)]] += 1
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    names = [short(labels[int(code)], 14) for code in frequent]
    size = 1.6 + 0.4 * len(frequent)
    with _drawing(max(_HALF, size), max(3.9, size)) as (figure, axes):
        axes.imshow(
            shares, cmap=mpl.colors.LinearSegmentedColormap.from_list("shares", [PAPER, ACCENT]), vmin=0, vmax=1
        )
        for row, column in np.argwhere(shares >= 0.005):
            colour = PAPER if shares[row, column] > 0.55 else INK
            axes.text(
                column, row, f"{100 * shares[row, column]:.0f}", ha="center", va="center", fontsize=8, color=colour
            )
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="predicted, % of the true class", ylabel="true")
        axes.grid(visible=False)
        return _picture(figure, "confusion")


def residuals(y: np.ndarray, predicted: np.ndarray, target: str, seed: int) -> Picture:
    """Out-of-fold predictions against the truth, a sample of the rows."""
    rows = np.arange(len(y))
    if len(rows) > _POINTS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, _POINTS, replace=False))
    with _drawing(_HALF, 3.9) as (figure, axes):
        low, high = float(min(y[rows].min(), predicted[rows].min())), float(max(y[rows].max(), predicted[rows].max()))
        axes.plot([low, high], [low, high], color=MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        # One path for all points keeps the page small.
        axes.plot(predicted[rows], y[rows], ".", color=ACCENT, markersize=3, alpha=0.45, rasterized=True)
        axes.set(xlabel=short(f"predicted {target}"), ylabel="true")
        return _picture(figure, "residuals")
