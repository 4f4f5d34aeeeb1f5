"""The command line before any work starts: help, options, and one line for every mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import mle_star, one_line, write_table
from mle_star.engine.errors import InvalidInput
from mle_star.engine.run import create_run
from mle_star.server.headless import _collect


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cli")
    write_table(folder / "shop.csv", 30)
    (folder / "empty.csv").touch()
    (folder / "taken").write_text("a file")
    (folder / "mine" / "model").mkdir(parents=True)
    return folder


@pytest.mark.parametrize("command", [[], ["run"], ["predict"], ["serve"], ["runs"], ["doctor"]])
def test_help_is_printed_for_every_command(folder: Path, command: list[str]) -> None:
    result = mle_star(folder / "home", *command, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith(f"Usage: {' '.join(['mle-star', *command])}")
    assert result.stderr == ""


RUN = ("run", "--dataset", "shop.csv", "--target", "bought")

MISTAKES = {
    "an unknown command": (("rum",), 'Did you mean "run"?'),
    "an unknown option": ((*RUN, "--sed", "1"), "Did you mean --seed?"),
    "no target": (("run", "--dataset", "shop.csv"), "--target"),
    "a word as seed": ((*RUN, "--seed", "one"), "--seed"),
    "a negative seed": ((*RUN, "--seed", "-1"), "seed"),
    "an unknown metric": ((*RUN, "--metric", "auc"), "roc_auc"),
    "no time": ((*RUN, "--time-budget", "0"), "--time-budget"),
    "negative time": ((*RUN, "--time-budget", "-5"), "--time-budget"),
    "a timeout in the past": ((*RUN, "--timeout", "0"), "--timeout"),
    "no workers": ((*RUN, "--max-agents", "0"), "--max-agents"),
    "a holdout of everything": ((*RUN, "--holdout", "1.5"), "0.001 to below 0.5"),
    "a holdout of nothing": ((*RUN, "--holdout", "0.0000001"), "0.001 to below 0.5"),
    "more workers than anybody has": ((*RUN, "--max-agents", "5000"), "--max-agents"),
    "a holdout in words": ((*RUN, "--holdout", "some"), "0.001 to below 0.5"),
    "too many iterations": ((*RUN, "--search-iterations", "99"), "--search-iterations"),
    "quiet and verbose": ((*RUN, "--quiet", "--verbose"), "leave one out"),
    "a missing file": (("run", "--dataset", "shop.parquet", "--target", "bought"), "did you mean shop.csv?"),
    "a folder as table": (("run", "--dataset", ".", "--target", "bought"), "folder"),
    "a file as output folder": ((*RUN, "--output", "taken"), "--output"),
    "an output folder that nobody can write to": ((*RUN, "--output", "/proc/self"), "cannot be written"),
    "an output folder with a model of somebody else": ((*RUN, "--output", "mine"), "nothing is lost"),
    "a missing file to predict": (("predict", "--model", "mine", "--data", "no.csv", "--output", "p.csv"), "no.csv"),
    "a folder that is no model": (
        ("predict", "--model", "mine", "--data", "shop.csv", "--output", "p.csv"),
        "manifest.json",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(folder: Path, name: str) -> None:
    arguments, told = MISTAKES[name]
    result = mle_star(folder / "home", *arguments, cwd=folder)
    assert result.returncode == 2, result.stderr
    assert one_line(result.stderr), result.stderr
    assert told in result.stderr
    assert result.stdout == ""
    assert not list((folder / "home").glob("runs/*"))


def test_the_folders_of_the_environment_rule_over_those_that_were_typed(folder: Path, tmp_path: Path) -> None:
    extra = {"MLE_STAR_ALLOWED_DIRS": str(tmp_path)}
    result = mle_star(folder / "home", *RUN, extra=extra, cwd=folder)
    assert result.returncode == 2
    assert str(tmp_path) in result.stderr
    assert "MLE_STAR_ALLOWED_DIRS" in result.stderr


def test_a_link_out_of_the_allowed_folders_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(folder / "shop.csv")
    arguments = ("run", "--dataset", tmp_path / "link.csv", "--target", "bought")
    result = mle_star(folder / "home", *arguments, extra={"MLE_STAR_ALLOWED_DIRS": str(tmp_path)})
    assert result.returncode == 2
    assert "outside the allowed folders" in result.stderr


def test_a_wrong_setting_in_the_environment_is_named(folder: Path) -> None:
    result = mle_star(folder / "home", *RUN, extra={"MLE_STAR_MEMORY_MB": "much"}, cwd=folder)
    assert result.returncode == 2
    assert one_line(result.stderr)
    assert "memory_mb" in result.stderr


def test_a_home_that_cannot_be_made_is_one_line(folder: Path) -> None:
    result = mle_star(folder / "taken" / "home", *RUN, cwd=folder)
    assert result.returncode == 2
    assert one_line(result.stderr)


def test_without_runs_the_list_says_how_to_start_one(folder: Path) -> None:
    result = mle_star(folder / "home", "runs")
    assert result.returncode == 0
    assert "mle-star run" in result.stdout


def test_help_loads_no_server_and_no_numbers(folder: Path) -> None:
    code = (
        "import sys; from mle_star.server.cli import app; app(['run', '--help']); print(*sys.modules, file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"numpy", "pandas", "mcp"}.isdisjoint(result.stderr.split())


def test_files_that_cannot_be_copied_are_told_with_where_they_are(tmp_path: Path) -> None:
    run = create_run(tmp_path / "home", "shop")
    run.model_path.mkdir(parents=True)
    (tmp_path / "out").write_text("in the way")
    with pytest.raises(InvalidInput, match=f"{run.run_id} is finished.*its files are in .*{run.run_id}"):
        _collect(run, tmp_path / "out")
