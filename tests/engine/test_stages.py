"""Baselines, ablation, refinement, ensembles and the final model, one after the other on a small real run."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mle_star.engine import ensembling, final
from mle_star.engine.ablation import run_ablation
from mle_star.engine.baselines import build_baselines
from mle_star.engine.cross_fitting import cross_fitted_choice, cross_fitted_scores
from mle_star.engine.deadline import Deadline
from mle_star.engine.defaults import default_solution
from mle_star.engine.ensembling import EnsembleResult, build_ensemble, fit_ensemble, strategies_for
from mle_star.engine.errors import DeadlinePassed, InvalidInput, NotFound, Refused
from mle_star.engine.evaluation import fit_seconds
from mle_star.engine.experiment import Experiment, reopen_experiment
from mle_star.engine.final import Chosen, chosen, fit_final
from mle_star.engine.final_fits import FinalFits
from mle_star.engine.final_model import load, save
from mle_star.engine.forecast import chosen_fit_seconds, expected_fit_seconds
from mle_star.engine.leaderboard import best_single, leaderboard
from mle_star.engine.pipeline import TrainingRows, fit_solution, predict_together
from mle_star.engine.plugins import FittedEnsemble
from mle_star.engine.pool import member_pool
from mle_star.engine.refinement import refine
from mle_star.engine.registry import ensembles
from mle_star.engine.solution import Block, Solution, Suggestion
from mle_star.engine.task import Task
from opened import generated_table, open_experiment

LEARNERS = ("linear", "lightgbm", "extra_trees")


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression"])
def experiment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Experiment:
    """A run with baselines, for each task."""
    frame = generated_table(request.param)
    opened = open_experiment(tmp_path_factory.mktemp(request.param), frame)
    build_baselines(opened, Deadline(60), LEARNERS)
    return opened


def test_baselines_rank_the_dummy_last(experiment: Experiment) -> None:
    board = leaderboard(experiment)
    assert {ranked.evaluation.solution.model.component for ranked in board} == {*LEARNERS, "dummy"}
    assert board[-1].family == "dummy"


def test_the_learner_that_research_ranks_first_is_tried_early(tmp_path: Path) -> None:
    opened = open_experiment(tmp_path, generated_table("multiclass"))
    research = [
        Suggestion(Block.of("encode", "onehot"), ("linear",)),
        Suggestion(Block.of("model", "extra_trees")),
        Suggestion(Block.of("model", "random_forest")),
    ]
    build_baselines(opened, Deadline(60), ("linear", "extra_trees", "random_forest"), research)
    tried = [entry.body["solution"][-1]["component"] for entry in opened.run.journal.read("evaluation")]
    assert list(dict.fromkeys(tried)) == ["dummy", "extra_trees", "linear", "random_forest"]


@pytest.mark.parametrize(
    ("shares", "order"),
    [
        ({"linear": 0.5}, ["dummy", "lightgbm", "extra_trees", "linear"]),
        ({"linear": 0.15}, ["dummy", "lightgbm", "linear", "extra_trees"]),
        ({"lightgbm": 0.5}, ["dummy", "extra_trees", "lightgbm", "linear"]),
        ({"lightgbm": 0.5, "extra_trees": 0.5}, ["dummy", "lightgbm", "linear", "extra_trees"]),
    ],
)
def test_a_learner_that_does_not_fit_into_its_share_waits_for_strong_ones_that_do_and_no_other(
    shares: dict[str, float], order: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, deadline = open_experiment(tmp_path, generated_table("binary")), Deadline(60)
    shares_s = {component: share * deadline.budget_s for component, share in shares.items()}
    monkeypatch.setattr(
        opened.evaluator.costs, "estimate", lambda solution: shares_s.get(solution.model.component, 0.06)
    )
    build_baselines(opened, deadline, LEARNERS)
    tried = [entry.body["solution"][-1]["component"] for entry in opened.run.journal.read("evaluation")]
    assert list(dict.fromkeys(tried)) == order


@pytest.mark.parametrize(
    ("n_rows", "scalings"), [(200, ["standard"]), (300, ["standard", "piecewise"]), (1200, ["piecewise"])]
)
def test_numbers_are_taken_in_bins_where_there_are_rows_for_them_and_both_ways_below(
    n_rows: int, scalings: list[str], tmp_path: Path
) -> None:
    opened = open_experiment(tmp_path, generated_table("regression", n_rows))
    build_baselines(opened, Deadline(60), ["linear"])
    tried = [entry.body["solution"] for entry in opened.run.journal.read("evaluation")][1:]
    assert [[block["component"] for block in solution][-2] for solution in tried] == scalings


def test_a_linear_model_of_numbers_in_bins_follows_a_curve(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-3, 3, size=400)
    opened = open_experiment(tmp_path, pd.DataFrame({"x": x, "y": np.abs(x)}), holdout="none")
    build_baselines(opened, Deadline(60), ["linear"])
    binned, straight = leaderboard(opened)[:2]
    assert binned.evaluation.mean < 0.2
    assert straight.evaluation.mean > 0.5


@pytest.mark.slow
def test_a_learner_that_does_not_fit_into_the_time_is_tried_with_quicker_parameters(tmp_path: Path) -> None:
    frame = generated_table("binary")
    frame["town"] = [f"town{number % 15}" for number in range(len(frame))]
    opened = open_experiment(tmp_path, frame)
    usual = default_solution("catboost", opened.shape)
    quick = usual.replace(usual.model, usual.model.with_params({"max_ctr_complexity": 1}))
    opened.evaluator.costs.speed["catboost"] = 40.0 / opened.evaluator.costs.estimate(usual)
    assert opened.evaluator.costs.estimate(quick) == pytest.approx(20.0)
    build_baselines(opened, Deadline(28), ["catboost"])
    tried = [(entry.body["solution"], entry.body["failure"]) for entry in opened.run.journal.read("evaluation")]
    assert tried[1] == (quick.to_json(), None)
    assert usual.to_json() not in [solution for solution, _ in tried]


def test_an_unknown_learner_is_named_with_the_accepted_ones(experiment: Experiment) -> None:
    with pytest.raises(NotFound, match="lightgbm"):
        build_baselines(experiment, Deadline(5), ["lightgbmm"])


def test_ablation_finds_the_block_that_matters(experiment: Experiment) -> None:
    result = run_ablation(experiment, Deadline(3))
    assert result.rows
    assert all(0.0 <= row.p_value <= 1.0 for row in result.rows)
    assert all(row.interval[0] <= row.impact <= row.interval[1] for row in result.rows)
    impacts = [abs(row.impact) for row in result.rows]
    assert impacts == sorted(impacts, reverse=True)
    assert result.next_block in {block.name for block in result.solution.blocks}
    assert experiment.run.journal.last("ablation") is not None


def test_ablation_refuses_a_block_the_solution_does_not_have(experiment: Experiment) -> None:
    with pytest.raises(InvalidInput, match="its blocks"):
        run_ablation(experiment, Deadline(10), ["encode.nothing"])


def test_refinement_keeps_a_plan_only_beyond_the_noise(experiment: Experiment) -> None:
    result = refine(experiment, Deadline(3), outer=2, inner=3)
    metric = experiment.task.metric
    assert not metric.better(result.before, result.after)
    for step in result.steps:
        kept = [plan for plan in step.plans if plan.kept]
        assert len(kept) == int(step.accepted)
        assert len(step.plans) <= 3
        if step.accepted:
            assert kept[0].gain is not None
            # The off-by-one of other implementations: the last plan tried is a candidate like the others.
            assert kept[0].gain == max(plan.gain for plan in step.plans if plan.gain is not None)


def test_the_coordinators_plan_is_tried_first_and_scored_here(experiment: Experiment) -> None:
    plan = Block.of("model", "extra_trees", {"n_estimators": 20})
    result = refine(experiment, Deadline(60), "model", [plan], outer=1, inner=1)
    assert result.steps[0].plans[0].source == "asked"
    assert result.steps[0].plans[0].score is not None


def test_an_ensemble_is_scored_on_folds_its_weights_have_not_seen(experiment: Experiment) -> None:
    members = member_pool(experiment)
    oracle = ensembles()["greedy"]
    scores = cross_fitted_scores(experiment, oracle, members, Deadline(30))
    assert len(scores) == experiment.plan.n_folds


def test_the_time_for_final_fits_is_that_of_the_best_until_an_ensemble_is_known(experiment: Experiment) -> None:
    pool = member_pool(experiment)
    expected = expected_fit_seconds(experiment)
    assert expected == pytest.approx(fit_seconds(pool[:8], experiment.final_fits))
    kept = build_ensemble(experiment, Deadline(30))
    members = [experiment.evaluator.recall(Solution.from_json(member.solution)) for member in kept.members]
    needed = fit_seconds([one for one in members if one], experiment.final_fits)
    assert needed <= expected
    assert chosen_fit_seconds(experiment) == pytest.approx(1.3 * needed)


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_a_strategy_that_takes_too_long_is_given_up_after_its_first_fit_however_many_threads_there_are(
    tmp_path: Path, threads: int
) -> None:
    opened = open_experiment(tmp_path, generated_table("binary"), threads=threads)
    build_baselines(opened, Deadline(60), LEARNERS)
    fits: list[int] = []

    def slow(stack: np.ndarray, y: np.ndarray, task: Task, seed: int) -> FittedEnsemble:
        fits.append(len(y))
        time.sleep(0.3)
        return ensembles()["mean"].fit(stack, y, task, seed)

    with pytest.raises(DeadlinePassed, match="longer than the time left"):
        cross_fitted_scores(opened, replace(ensembles()["mean"], fit=slow), member_pool(opened), Deadline(1.0))
    assert len(fits) == 1


def test_a_member_that_runs_away_on_the_first_block_in_time_does_not_stand_for_all(tmp_path: Path) -> None:
    frame = generated_table("regression", 400)
    frame["day"] = pd.date_range("2024-01-01", periods=len(frame), freq="D").astype(str)
    opened = open_experiment(tmp_path, frame, time_column="day")
    good = [opened.evaluator.evaluate(default_solution(learner, opened.shape), Deadline(60)) for learner in LEARNERS]
    first = opened.evaluator.folds[0].valid
    assert good[0].oof is not None
    oof = good[0].oof.copy()
    oof[first] *= 1_000.0
    wild = replace(good[0], oof=oof)
    members = [wild, *good[1:]]
    usual, with_it = (cross_fitted_scores(opened, ensembles()["mean"], some, Deadline(30)) for some in (good, members))
    assert with_it != usual
    assert with_it[0] < 3.0 * usual[0]
    assert cross_fitted_choice(opened, members)[0] < 3.0 * usual[0]


def test_an_average_gives_way_only_to_a_clearly_better_single(
    experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    strategies = strategies_for(experiment, ["mean", "stack_linear"])
    choice = cross_fitted_choice(experiment, member_pool(experiment))
    worse = -1.0 if experiment.task.metric.greater_is_better else 1.0
    # Wider than what picking on other folds costs: the single solution's own scores are compared, too.
    cost = np.abs(np.subtract(best_single(experiment).evaluation.scores, choice)).max()
    spread = max(abs(np.mean(choice)) * 0.01, 4.0 * cost)

    def decided(lag: float) -> EnsembleResult:
        """What is kept when every strategy lags behind the choice by so many spreads, give or take one."""
        scores = [score + worse * spread * (lag + (-1) ** fold) for fold, score in enumerate(choice)]
        monkeypatch.setattr(ensembling, "cross_fitted_scores", lambda *_: tuple(scores))
        return ensembling.compare_with_best(experiment, Deadline(30), member_pool(experiment), strategies)

    near, far = decided(0.3), decided(30.0)
    assert (near.kept, near.strategy) == (True, "mean")
    assert "safer choice" in near.reason
    assert (far.kept, far.strategy) == (False, "single")
    # A stack is no safer than the best single solution, so it has to be better.
    strategies = strategies_for(experiment, ["stack_linear"])
    assert not decided(0.3).kept
    ahead = decided(-1.5)
    assert (ahead.kept, ahead.strategy) == (True, "stack_linear")


def test_a_new_best_single_solution_replaces_an_ensemble_only_where_it_leads_clearly(experiment: Experiment) -> None:
    build_ensemble(experiment, Deadline(30))
    single, body = best_single(experiment).evaluation, experiment.run.journal.last("ensemble")
    assert body is not None
    worse = -1.0 if experiment.task.metric.greater_is_better else 1.0
    for lag, expected in ((0.3, False), (30.0, True)):
        spread = abs(single.mean) * 0.01
        scores = [score + worse * spread * (lag + (-1) ** fold) for fold, score in enumerate(single.scores)]
        older = {**body.body, "best_single_key": "another", "scores": scores}
        assert final._overtaken(experiment, older, single) == expected


def test_an_unknown_strategy_is_named_with_those_there_are(experiment: Experiment) -> None:
    with pytest.raises(NotFound, match="greedy"):
        build_ensemble(experiment, Deadline(5), ["gredy"])


def test_the_final_model_predicts_the_same_in_a_fresh_process(experiment: Experiment, tmp_path: Path) -> None:
    build_ensemble(experiment, Deadline(30))
    model = fit_final(experiment, chosen(experiment), np.arange(experiment.dataset.n_rows), Deadline(60))
    save(model, tmp_path / "model")
    rows = generated_table("regression", 20, seed=5).drop(columns="y")
    rows.loc[0, "colour"] = "never seen"
    expected = model.predict(rows)
    assert len(expected) == 20
    assert expected.columns[0] == "prediction"
    if experiment.task.is_classification:
        assert list(expected.columns[1:]) == [f"proba_{label}" for label in experiment.task.classes]
        np.testing.assert_allclose(expected.iloc[:, 1:].sum(axis=1), 1.0, atol=1e-6)
    rows.to_csv(tmp_path / "rows.csv", index=False)
    code = (
        "import sys, pathlib, pandas as pd; from mle_star.engine.final_model import load;"
        "m = load(pathlib.Path(sys.argv[1])); m.predict(pd.read_csv(sys.argv[2])).to_csv(sys.argv[3], index=False)"
    )
    arguments = [str(tmp_path / "model"), str(tmp_path / "rows.csv"), str(tmp_path / "out.csv")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    there = pd.read_csv(tmp_path / "out.csv")
    numbers = [column for column in expected.columns if column.startswith("proba_")] or ["prediction"]
    np.testing.assert_allclose(there[numbers].to_numpy(), expected[numbers].to_numpy(), rtol=1e-6)


def test_where_members_of_a_blend_have_no_time_the_others_mean_stands_for_it(experiment: Experiment) -> None:
    pool = member_pool(experiment)[:2]
    blend = Chosen("blend", tuple(pool), (0.6, 0.4), pool[0].scores)
    rows, table = np.arange(experiment.dataset.n_rows), experiment.dataset.table.take(np.arange(20))
    whole = fit_final(experiment, blend, rows, Deadline(60))
    assert (len(whole.members), whole.weights) == (2, None)
    stack = predict_together(whole.members, table)
    expected = fit_ensemble(experiment, "blend", pool).combine(stack)
    np.testing.assert_allclose(whole.predict_table(table), expected, rtol=1e-6)
    slow = replace(blend, members=(pool[0], replace(pool[1], growth=1e9)))
    part = fit_final(experiment, slow, rows, Deadline(60))
    assert (len(part.members), part.weights, part.ensemble) == (1, (1.0,), None)
    assert not slow.is_average
    assert FinalFits(experiment, slow)._about(part, slow, "all rows")["strategy"] == "single"
    np.testing.assert_allclose(part.predict_table(table), stack[0], rtol=1e-6)


def test_the_collector_is_as_it_was_after_a_row(experiment: Experiment) -> None:
    model = fit_final(experiment, chosen(experiment), experiment.split.development, Deadline(60))
    row = generated_table("regression", 1, seed=5)
    try:
        for enabled in (False, True):
            (gc.enable if enabled else gc.disable)()
            model.predict(row)
            assert gc.isenabled() == enabled
    finally:
        gc.enable()
    with pytest.raises(InvalidInput):
        model.predict(row[["colour"]])
    assert gc.isenabled()


def test_a_changed_model_file_is_refused(experiment: Experiment, tmp_path: Path) -> None:
    model = fit_final(experiment, chosen(experiment), experiment.split.development, Deadline(60))
    save(model, tmp_path / "model")
    with (tmp_path / "model" / "model.joblib").open("ab") as handle:
        handle.write(b"x")
    with pytest.raises(Refused, match="manifest"):
        load(tmp_path / "model")
    with pytest.raises(NotFound, match="manifest"):
        load(tmp_path)


def test_a_reopened_run_continues_where_it_was(experiment: Experiment) -> None:
    again = reopen_experiment(experiment.run, experiment.resources, Deadline(60))
    assert again.dataset.fingerprint == experiment.dataset.fingerprint
    assert again.split.key == experiment.split.key
    assert [ranked.evaluation.key for ranked in leaderboard(again)] == [
        ranked.evaluation.key for ranked in leaderboard(experiment)
    ]
    for ranked in leaderboard(again):
        assert again.evaluator.recall(ranked.evaluation.solution) is not None


def test_the_journal_is_plain_json(experiment: Experiment) -> None:
    for entry in experiment.run.journal.read():
        assert json.loads(json.dumps(entry.body, allow_nan=False)) == entry.body


def test_the_smallest_budget_still_gives_an_answer(tmp_path: Path) -> None:
    opened = open_experiment(tmp_path, generated_table("binary"))
    result = build_baselines(opened, Deadline(0.01))
    assert result.tried >= 1
    assert leaderboard(opened), "the floor is always scored: an empty answer is never the result of a short budget"


def test_a_warm_cache_changes_nothing_about_a_run(tmp_path: Path) -> None:
    frame = generated_table("binary", 400)
    research = [Suggestion(Block.of("features", "pair_products")), Suggestion(Block.of("clean", "clip_outliers"))]
    boards, seconds = [], []
    for _ in range(2):
        opened = open_experiment(tmp_path, frame)
        deadline = Deadline(60)
        build_baselines(opened, deadline, ["linear", "lightgbm"], research)
        boards.append(
            [(ranked.evaluation.key, ranked.origin, ranked.evaluation.scores) for ranked in leaderboard(opened)]
        )
        seconds.append([ranked.evaluation.seconds for ranked in leaderboard(opened)])
    assert boards[0] == boards[1]
    assert seconds[0] == seconds[1], "what a cached evaluation cost is what it cost when it was computed"
    assert any(origin == "research-informed" for _, origin, _ in boards[0])


def test_a_reopened_run_neither_charges_nor_repeats_what_it_has(experiment: Experiment) -> None:
    again = reopen_experiment(experiment.run, experiment.resources, Deadline(60))
    entries = sum(1 for _ in experiment.run.journal.read("evaluation"))
    deadline = Deadline(60)
    again.evaluator.evaluate(leaderboard(again)[0].evaluation.solution, deadline)
    assert deadline.elapsed() < 1
    assert sum(1 for _ in experiment.run.journal.read("evaluation")) == entries


@pytest.mark.parametrize("learner", ["linear", "lightgbm", "catboost", "hist_gradient_boosting", "mlp"])
def test_training_rows_with_one_target_value_and_empty_columns_still_give_a_prediction(
    tmp_path: Path, learner: str
) -> None:
    frame = generated_table("multiclass", 120)
    frame["late"] = np.where(np.arange(120) < 60, np.nan, 1.0) * np.arange(120)
    opened = open_experiment(tmp_path, frame, holdout="none")
    first = np.arange(60)
    same = first[opened.dataset.y[first] == opened.dataset.y[first][0]]
    setting, table = opened.evaluator.setting, opened.dataset.table
    for positions in (same, first):
        solution = default_solution(learner, opened.shape)
        rows = TrainingRows(setting, table, opened.dataset.y, positions, 1, Deadline(30), [solution])
        prediction = fit_solution(rows, solution).predict_table(table)
        assert prediction.shape == (120, 3)
        assert np.isfinite(prediction).all()
