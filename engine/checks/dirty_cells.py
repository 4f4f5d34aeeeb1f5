"""Repeats what reading the file had to mend, so that it stands beside the verdict."""

from __future__ import annotations

from collections.abc import Sequence

from ..checking import name_some
from ..experiment import Experiment
from ..plugins import Check, Finding


def _run(experiment: Experiment) -> Sequence[Finding]:
    by_code: dict[str, list[tuple[str | None, int, str]]] = {}
    for issue in experiment.dataset.issues:
        by_code.setdefault(issue.code, []).append((issue.column, issue.count, issue.message))
    found = []
    for code, rows in by_code.items():
        columns = [column for column, _, _ in rows if column is not None]
        where = f"{name_some(columns)}: " if columns else ""
        found.append(
            Finding(
                CHECK.code,
                "info",
                code.replace("_", " "),
                f"{where}{sum(count for _, count, _ in rows):,} cells or rows; {rows[0][2]}"[:300],
                "correct the file if these values should mean something else",
            )
        )
    return found


CHECK = Check("DIRTY_CELLS", "Values mended on reading", "Issues of the dataset, by kind.", "data", _run)
