"""The report of a run: complete, self-contained, small, and safe whatever the data is called."""

from __future__ import annotations

import csv
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from mle_star.engine.ablation import run_ablation
from mle_star.engine.baselines import build_baselines
from mle_star.engine.deadline import Deadline
from mle_star.engine.ensembling import build_ensemble
from mle_star.engine.experiment import Experiment
from mle_star.engine.refinement import refine
from mle_star.engine.report import ReportFiles, collect, render, write_report
from mle_star.engine.validation import Validation, validate
from opened import generated_table, open_experiment

HOSTILE = "<script>alert(1)</script>"
DOLLARS = "cost_{$^\\frac"


class Page(HTMLParser):
    """Tags and attributes of a page, and whether what was opened is closed."""

    VOID = ("meta", "link", "br", "img", "path", "use", "rect")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def reported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Experiment, Validation, ReportFiles]:
    """A whole run on a table whose columns, labels and levels attack the page."""
    frame = generated_table(request.param, 300).rename(columns={"x1": HOSTILE, "x2": DOLLARS})
    frame["colour"] = frame["colour"].replace("red", HOSTILE)
    if request.param != "regression":
        frame["y"] = frame["y"].replace({"yes": HOSTILE, "high": HOSTILE})
    experiment = open_experiment(tmp_path_factory.mktemp(request.param), frame, holdout=0.25)
    build_baselines(experiment, Deadline(30), ("decision_tree",))
    if request.param == "binary":
        run_ablation(experiment, Deadline(5), blocks=("encode",))
        refine(experiment, Deadline(4), block="encode", outer=1, inner=2)
        build_ensemble(experiment, Deadline(5))
    # Under 15 s no other process is started to load the model; another test does that.
    experiment.deadline = Deadline(14)
    validation = validate(experiment)
    return experiment, validation, write_report(experiment, validation)


def test_names_from_the_data_never_become_markup(reported: tuple[Experiment, Validation, ReportFiles]) -> None:
    text = reported[2].html.read_text()
    assert "<script" not in text.lower()
    assert "&lt;script&gt;" in text
    page = Page(text)
    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_the_page_is_whole_and_loads_nothing(reported: tuple[Experiment, Validation, ReportFiles]) -> None:
    text = reported[2].html.read_text()
    page = Page(text)
    assert page.open == []
    assert "default-src 'none'" in text
    loads = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "action") and value]
    assert all(value.startswith(("#", "data:")) for value in loads)
    assert not re.search(r"@import|url\((?!#)", text)
    assert len(text.encode()) <= 1_500_000


def test_the_verdict_comes_first_and_every_part_is_there(
    reported: tuple[Experiment, Validation, ReportFiles],
) -> None:
    experiment, validation, files = reported
    text = files.html.read_text()
    assert text.index(f"<strong>{validation.verdict}</strong>") < text.index("<h2>Gates</h2>")
    parts = ["Gates", "Findings", "Leaderboard", "Use the model", "Which columns matter"]
    if experiment.task.kind == "binary":
        parts += ["Which blocks matter", "Refinement", "Ensemble"]
    assert [part for part in parts if f"<h2>{part}</h2>" not in text] == []
    assert text.count("<svg") >= 3
    assert "mle-star predict --model" in text


def test_where_decisions_are_scored_the_page_shows_what_is_mistaken_for_what(tmp_path: Path) -> None:
    for metric, heading in (("f1", "What is mistaken for what"), ("roc_auc", "Are the probabilities right")):
        (tmp_path / metric).mkdir()
        experiment = open_experiment(tmp_path / metric, generated_table("binary", 300), metric=metric)
        build_baselines(experiment, Deadline(30), ("linear",))
        validation = validate(experiment)
        files = write_report(experiment, validation)
        assert f"<h2>{heading}</h2>" in files.html.read_text()


def test_the_code_that_the_page_shows_uses_the_saved_model(
    reported: tuple[Experiment, Validation, ReportFiles], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment, _, files = reported
    code = html.unescape(re.findall(r"<pre>(from pathlib.*?)</pre>", files.html.read_text(), re.DOTALL)[0])
    experiment.dataset.frame.head(5).to_csv(tmp_path / "new.csv", index=False)
    monkeypatch.chdir(tmp_path)
    shown: list[pd.DataFrame] = []
    exec(compile(code, "page", "exec"), {"print": shown.append})
    assert len(shown[0]) == 5


def test_every_plot_is_also_an_image_and_those_of_an_earlier_report_go(
    reported: tuple[Experiment, Validation, ReportFiles],
) -> None:
    experiment, validation, files = reported
    folder = experiment.run.plots_path
    assert {"estimates", "predictions"} <= set(files.plots)
    (folder / "old.png").write_bytes(b"")
    experiment.deadline = Deadline(14)
    assert write_report(experiment, validation).plots == files.plots
    images = {path.stem: path.read_bytes() for path in folder.iterdir()}
    assert set(images) == set(files.plots)
    assert all(image.startswith(b"\x89PNG") and len(image) < 300_000 for image in images.values())


def test_pictures_do_not_share_names(reported: tuple[Experiment, Validation, ReportFiles]) -> None:
    identifiers = re.findall(r'\bid="([^"]+)"', reported[2].html.read_text())
    assert len(identifiers) == len(set(identifiers))


def test_the_json_says_what_the_page_says(reported: tuple[Experiment, Validation, ReportFiles]) -> None:
    experiment, validation, files = reported
    body = json.loads(files.json.read_text())
    assert body["validation"]["verdict"] == validation.verdict
    assert body["leaderboard"][0]["rank"] == 1
    assert body["split"]["reason"] == experiment.split.reason
    assert body["environment"]["scikit-learn"]


def test_the_leaderboard_is_a_table(reported: tuple[Experiment, Validation, ReportFiles]) -> None:
    with reported[2].leaderboard.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1]["model"] == "dummy"


def test_a_report_without_time_for_plots_is_still_a_page(
    reported: tuple[Experiment, Validation, ReportFiles],
) -> None:
    experiment, validation, _ = reported
    page = Page(render(collect(experiment, validation), {}))
    assert page.open == []
    assert "svg" not in page.tags


def test_a_report_needs_no_ablation_refinement_or_ensemble(tmp_path: Path) -> None:
    experiment = open_experiment(tmp_path, generated_table("binary", 200))
    build_baselines(experiment, Deadline(30), ("decision_tree",))
    experiment.deadline = Deadline(14)
    files = write_report(experiment, validate(experiment))
    assert "<h2>Refinement</h2>" not in files.html.read_text()
