"""A result links to what it changed and wrote, also where another call tells of it."""

from __future__ import annotations

from typing import Any

import pytest
from mcp_types import ResourceLink
from mle_star.server.structured import tool_result

RUN = "run_shop_0001"
FILES = f"mlestar://runs/{RUN}"


def links(tool: str, **report: Any) -> list[str]:
    result = tool_result({"run_id": RUN, "status": "finished", "summary": "", "next": "", **report}, tool)
    return [str(item.uri) for item in result.content if isinstance(item, ResourceLink)]


@pytest.mark.parametrize("tool", ["validate", "get_run"])
def test_a_validation_links_to_its_report_and_plots(tool: str) -> None:
    plots = ["estimates", "progress"]
    job = {"job": "validate"} if tool == "get_run" else {}
    assert links(tool, windows_changed=[7], plots=plots, **job) == [
        f"context7://runs/{RUN}/windows/7",
        f"{FILES}/report.html",
        f"{FILES}/leaderboard.csv",
        f"{FILES}/plots/estimates.png",
        f"{FILES}/plots/progress.png",
    ]


def test_an_ablation_links_to_its_rows_and_work_in_progress_to_nothing() -> None:
    assert links("run_ablation") == [f"{FILES}/ablation.json"]
    assert links("get_run", status="running", job="validate") == []
    assert links("list_runs") == []
