"""The main job from the command line, as a user runs it: progress, results, formats, prediction, and every way to stop."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from command_line import COMMAND, environment, mle_star, one_line, write_table
from mle_star.engine.run import RunFolder, open_run

pytestmark = pytest.mark.slow

BUDGET_S = 12
PHASES = ["profile_dataset", "search_sota", "build_baselines", "run_ablation", "refine", "build_ensemble", "validate"]


@dataclass(frozen=True)
class Finished:
    folder: Path
    stdout: str
    stderr: str

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def out(self) -> Path:
        return self.folder / "out"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run for a person, without a terminal."""
    folder = tmp_path_factory.mktemp("run")
    table = write_table(folder / "shop.csv")
    arguments = ("--dataset", table, "--target", "bought", "--time-budget", BUDGET_S, "--output", folder / "out")
    result = mle_star(folder / "home", "run", *arguments, "--holdout", "0.2")
    assert result.returncode == 0, result.stderr
    return Finished(folder, result.stdout, result.stderr)


def test_the_run_ends_with_all_that_was_asked_for(finished: Finished) -> None:
    titles = ["Leaderboard", "Ablation", "Refinement", "Ensemble", "Verdict"]
    places = [finished.stdout.rindex(title) for title in titles]
    assert places == sorted(places)
    for name in ("report.html", "report.json", "leaderboard.csv", "model"):
        assert (finished.out / name).exists()
        assert str(finished.out / name) in finished.stdout
    assert finished.stderr == ""


def test_without_a_terminal_progress_is_plain_lines(finished: Finished) -> None:
    assert "\x1b" not in finished.stdout
    assert all(phase.replace("_", " ").capitalize() in finished.stdout for phase in PHASES)


def test_runs_lists_the_run(finished: Finished) -> None:
    result = mle_star(finished.home, "runs")
    assert result.returncode == 0
    assert "run_shop_0001" in result.stdout


def test_predict_answers_every_row_in_order(finished: Finished, tmp_path: Path) -> None:
    table, backwards = finished.folder / "shop.csv", tmp_path / "backwards.csv"
    rows = read_rows(table)
    with backwards.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["colour", "age", "size"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(reversed(rows))
    answers = {}
    for path in (table, backwards):
        output = tmp_path / f"answers_{path.name}"
        arguments = ("--model", finished.out / "model", "--data", path, "--output", output)
        assert mle_star(finished.home, "predict", *arguments).returncode == 0
        answers[path] = read_rows(output)
    assert list(answers[table][0]) == ["prediction", "proba_no", "proba_yes"]
    right = [row["bought"] == answer["prediction"] for row, answer in zip(rows, answers[table], strict=True)]
    assert sum(right) > 0.75 * len(rows)
    for one, other in zip(answers[table], reversed(answers[backwards]), strict=True):
        assert float(one["proba_yes"]) == pytest.approx(float(other["proba_yes"]))


@pytest.mark.skipif(os.name == "nt", reason="there are no such modes, links or devices")
def test_predictions_go_where_the_output_leads_and_may_be_read_by_whom_the_user_lets(
    finished: Finished, tmp_path: Path
) -> None:
    arguments = ("--model", finished.out / "model", "--data", finished.folder / "shop.csv", "--output")
    private = tmp_path / "private.csv"
    before = os.umask(0o077)
    try:
        assert mle_star(finished.home, "predict", *arguments, private).returncode == 0
    finally:
        os.umask(before)
    assert private.stat().st_mode & 0o777 == 0o600
    link = tmp_path / "link.csv"
    link.symlink_to(tmp_path / "behind.csv")
    assert mle_star(finished.home, "predict", *arguments, link).returncode == 0
    assert link.is_symlink()
    assert (tmp_path / "behind.csv").read_text() == private.read_text()
    shown = mle_star(finished.home, "predict", *arguments, "/dev/stdout")
    assert shown.returncode == 0
    assert shown.stdout == private.read_text()
    log = tmp_path / "log.txt"
    log.write_text("precious\n")
    with log.open("a") as stream:
        code = subprocess.run(
            [*COMMAND, "predict", *map(str, arguments), "/dev/stdout"],
            stdout=stream, env=environment(finished.home), cwd=finished.folder, check=False,
        ).returncode  # fmt: skip
    assert (code, log.read_text()) == (0, "precious\n" + private.read_text())


def test_predict_says_which_cells_it_could_not_read(finished: Finished, tmp_path: Path) -> None:
    table, output = tmp_path / "rows.csv", tmp_path / "p.csv"
    table.write_text("colour,age,size\nred,old,3\nblue,31,2\nred,young,1\n", encoding="utf-8")
    result = mle_star(finished.home, "predict", "--model", finished.out / "model", "--data", table, "--output", output)
    assert result.returncode == 0
    assert len(read_rows(output)) == 3
    assert "warning: 2 cells of age are not a number (old, young): read as missing" in result.stderr


def test_predict_refuses_a_model_that_was_changed(finished: Finished, tmp_path: Path) -> None:
    model = shutil.copytree(finished.out / "model", tmp_path / "model")
    with (model / "model.joblib").open("ab") as stream:
        stream.write(b"x")
    output = tmp_path / "p.csv"
    result = mle_star(
        finished.home, "predict", "--model", model, "--data", finished.folder / "shop.csv", "--output", output
    )
    assert result.returncode == 2
    assert one_line(result.stderr)
    assert "manifest" in result.stderr
    assert not output.exists()


def test_predict_names_a_missing_column(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "narrow.csv").write_text("size,colour\n0.5,red\n")
    arguments = ("--model", finished.out / "model", "--data", tmp_path / "narrow.csv", "--output", tmp_path / "p.csv")
    result = mle_star(finished.home, "predict", *arguments)
    assert result.returncode == 2
    assert one_line(result.stderr)
    assert "age" in result.stderr


def test_the_same_command_again_is_a_new_run_with_the_same_scores(finished: Finished) -> None:
    arguments = ("--dataset", finished.folder / "shop.csv", "--target", "bought", "--time-budget", BUDGET_S)
    result = mle_star(finished.home, "run", *arguments, "--holdout", "0.2", "--output-format", "json")
    assert result.returncode == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["run_id"] == "run_shop_0002"
    assert list(document["phases"]) == PHASES
    first, second = (scores_of(open_run(finished.home, run_id)) for run_id in ("run_shop_0001", "run_shop_0002"))
    shared = first.keys() & second.keys()
    assert len(shared) >= 3
    assert {key: first[key] for key in shared} == {key: second[key] for key in shared}


def test_stream_json_tells_every_phase_as_it_starts_and_ends(finished: Finished) -> None:
    arguments = ("--dataset", finished.folder / "shop.csv", "--target", "bought", "--time-budget", BUDGET_S)
    result = mle_star(finished.home, "run", *arguments, "--holdout", "0.2", "--output-format", "stream-json")
    assert result.returncode == 0, result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[0]["event"] == "run_started"
    assert events[-1]["event"] == "run_finished"
    started = [event["phase"] for event in events if event["event"] == "phase_started"]
    ended = [event for event in events if event["event"] == "phase_finished"]
    assert started == [event["phase"] for event in ended]
    # Refinement and the ensemble come again where time is left.
    assert list(dict.fromkeys(started)) == PHASES
    assert started[-1] == PHASES[-1]
    assert {phase for phase in PHASES if started.count(phase) > 1} <= {"refine", "build_ensemble"}
    assert all(event["report"]["run_id"] == event["run_id"] and event["seconds"] >= 0 for event in ended)
    assert any(event["event"] == "progress" for event in events)
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)


def test_interactive_asks_before_each_phase(tmp_path: Path) -> None:
    arguments = (
        "--dataset",
        write_table(tmp_path / "shop.csv"),
        "--target",
        "bought",
        "--time-budget",
        BUDGET_S,
        "--interactive",
    )
    result = mle_star(tmp_path / "home", "run", *arguments, "--output-format", "json", answers="y\ny\nn\nq\n")
    assert result.returncode == 0, result.stderr
    asked = [question.strip() for question in result.stderr.split("[Y/n/q]")]
    assert asked == ["Search sota?", "Build baselines?", "Run ablation?", "Refine?", ""]
    assert list(json.loads(result.stdout)["phases"]) == ["profile_dataset", "search_sota", "build_baselines"]


def test_interactive_leaves_out_phases_without_iterations(tmp_path: Path) -> None:
    data = write_table(tmp_path / "shop.csv")
    arguments = ("--dataset", data, "--target", "bought", "--interactive", "--search-iterations", 0)
    result = mle_star(tmp_path / "home", "run", *arguments, "--time-budget", BUDGET_S, answers="q\n")
    assert result.returncode == 0, result.stderr
    assert "Search sota?" not in result.stderr
    assert "Build baselines?" in result.stderr


def test_a_refused_run_leaves_a_folder_that_was_there(tmp_path: Path) -> None:
    data = write_table(tmp_path / "shop.csv")
    mine, made = tmp_path / "mine", tmp_path / "made"
    mine.mkdir()
    for folder in (mine, made):
        result = mle_star(tmp_path / "home", "run", "--dataset", data, "--target", "nothing", "--output", folder)
        assert result.returncode == 2
    assert mine.is_dir()
    assert not made.exists()


def test_interactive_without_answers_is_a_mistake(tmp_path: Path) -> None:
    arguments = (
        "--dataset",
        write_table(tmp_path / "shop.csv"),
        "--target",
        "bought",
        "--time-budget",
        BUDGET_S,
        "--interactive",
    )
    result = mle_star(tmp_path / "home", "run", *arguments, "--quiet")
    assert result.returncode == 2
    assert "--non-interactive" in result.stderr


@pytest.mark.parametrize(
    ("content", "target", "told"),
    [
        ("size,bought\n", "bought", "header"),
        ("", "bought", "empty"),
        ("size,bought\n1,2\n3,4\n", "bougth", "bought"),
        ("size,bought\n" + "1,yes\n" * 30, "bought", "bought"),
    ],
    ids=["only a header", "an empty file", "a misspelt target", "a constant target"],
)
def test_data_that_cannot_be_used_leaves_one_line_and_no_run(
    tmp_path: Path, content: str, target: str, told: str
) -> None:
    (tmp_path / "bad.csv").write_text(content)
    arguments = ("--dataset", tmp_path / "bad.csv", "--target", target, "--output", tmp_path / "out", "--quiet")
    result = mle_star(tmp_path / "home", "run", *arguments)
    assert result.returncode == 2, result.stderr
    assert one_line(result.stderr)
    assert told in result.stderr
    assert list((tmp_path / "home" / "runs").iterdir()) == []
    assert not (tmp_path / "out").exists()


def test_the_hard_limit_ends_the_work_with_code_3(tmp_path: Path) -> None:
    arguments = (
        "--dataset",
        write_table(tmp_path / "shop.csv"),
        "--target",
        "bought",
        "--timeout",
        3,
        "--time-budget",
        100,
    )
    result = mle_star(tmp_path / "home", "run", *arguments, "--seed", "5", "--quiet")
    assert result.returncode == 3
    assert one_line(result.stderr)
    assert "--timeout 3 s" in result.stderr
    assert workers_of(tmp_path / "home") == []


def test_ctrl_c_ends_the_worker_too(tmp_path: Path) -> None:
    arguments = [
        "run",
        "--dataset",
        str(write_table(tmp_path / "shop.csv")),
        "--target",
        "bought",
        "--time-budget",
        "100",
    ]
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--seed", "6", "--output-format", "stream-json"],
        env=environment(tmp_path / "home"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests themselves run in a shell's background, children start with this signal ignored.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if json.loads(line)["event"] == "phase_started":
                break
        assert workers_of(tmp_path / "home") != []
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert one_line(errors)
    assert workers_of(tmp_path / "home") == []


def test_doctor_finds_nothing_broken_and_fits_a_model(tmp_path: Path) -> None:
    result = mle_star(tmp_path / "home", "doctor")
    assert result.returncode == 0, result.stdout
    lines = result.stdout.splitlines()
    assert lines[-1].startswith("ok       self-test")
    assert any(line.startswith("ok       allowed folders") for line in lines)


def test_doctor_exits_with_1_where_the_home_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = mle_star(tmp_path / "file", "doctor", cwd=tmp_path)
    assert result.returncode == 1
    assert "MLE_STAR_HOME" in result.stdout


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def scores_of(run: RunFolder) -> dict[str, list[float]]:
    """Fold scores by solution and plan, of evaluations that the clock did not cut."""
    bodies = [entry.body for entry in run.journal.read("evaluation")]
    return {f"{body['key']} {body['plan']}": body["scores"] for body in bodies if body["scores"] and not body["cut"]}


def workers_of(home: Path) -> list[int]:
    """Processes that work on a run in this home folder: they stand in its folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
            place = (entry / "cwd").readlink() if b"mle_star.server.worker" in command else Path("/")
        except OSError:
            continue
        if place.is_relative_to((home / "runs").resolve()):
            found.append(int(entry.name))
    return found
