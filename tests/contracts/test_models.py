"""The learner contract, checked on everything that is registered."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import joblib
import numpy as np
import optuna
import pandas as pd
import pytest
from mle_star.engine import registry
from mle_star.engine.deadline import Deadline
from mle_star.engine.errors import DeadlinePassed
from mle_star.engine.plugins import EarlyStopping, FittedModel, Model, ParamDict, TrainingData
from mle_star.engine.shape import DataShape
from mle_star.engine.task import DEFAULT_METRIC, TaskKind, resolve_metric

MODELS = {key: model for key, model in registry.models().items() if registry.missing_requirement(model) is None}
PAIRS = [
    pytest.param(model, kind, id=f"{key}-{kind}")
    for key, model in MODELS.items()
    for kind in ("binary", "multiclass", "regression")
    if kind in model.tasks
]
EVERY = [pytest.param(model, id=key) for key, model in MODELS.items()]
INTERRUPTIBLE = {
    "catboost",
    "elastic_net",
    "extra_trees",
    "hist_gradient_boosting",
    "lightgbm",
    "linear",
    "mlp",
    "random_forest",
    "xgboost",
}
IGNORES_WEIGHTS = {"knn"}
FEWER: dict[str, ParamDict] = {
    "catboost": {"iterations": 150},
    "extra_trees": {"n_estimators": 40},
    "hist_gradient_boosting": {"max_iter": 60},
    "lightgbm": {"n_estimators": 150},
    "random_forest": {"n_estimators": 40},
    "xgboost": {"n_estimators": 150},
}
"""The kit is about behaviour, not accuracy: fewer rounds show the same."""


def shape_of(kind: TaskKind, n_rows: int = 400, n_columns: int = 5) -> DataShape:
    classes = {"binary": 2, "multiclass": 3, "regression": 0}[kind]
    return DataShape(kind, n_rows, n_columns - 1, 1, 0, 0, 0, 0, 6, 0.05, classes, 0.3, 0.0, 0.0)


def table(kind: TaskKind, model: Model, n_rows: int = 400, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(n_rows, 4)).astype(np.float32)
    codes = random.integers(0, 6, n_rows)
    signal = 2.0 * numbers[:, 0] - numbers[:, 1] + 1.5 * (codes % 2) + 0.3 * random.normal(size=n_rows)
    if kind == "regression":
        y = 100.0 + 10.0 * signal
    else:
        edges = [0.75] if kind == "binary" else [-0.5, 1.5]
        y = np.digitize(signal, edges).astype(np.int64)
    X = pd.DataFrame({f"f{column}": numbers[:, column] for column in range(4)})
    if not model.needs.no_missing:
        X.iloc[random.random(n_rows) < 0.1, 3] = np.nan
    if model.needs.numeric_only:
        X["f4"] = codes.astype(np.float32)
    else:
        codes = np.where(random.random(n_rows) < 0.05, -1, codes)
        X["f4"] = pd.Categorical.from_codes(codes, categories=list("abcdef"))
    return X, y


def fit(
    model: Model,
    kind: TaskKind,
    X: pd.DataFrame,
    y: np.ndarray,
    *,
    budget_s: float = 60.0,
    deadline: Deadline | None = None,
    weight: np.ndarray | None = None,
    rounds: int | None = None,
    all_rounds: bool = False,
    seed: int = 3,
) -> FittedModel:
    part = len(y) * 4 // 5
    early = None
    if model.early_stopping and rounds is None:
        early = EarlyStopping(X.iloc[part:], y[part:], None if weight is None else weight[part:])
        X, y, weight = X.iloc[:part], y[:part], None if weight is None else weight[:part]
    shape = shape_of(kind, len(y), X.shape[1])
    return model.fit(
        TrainingData(
            X=X,
            y=y,
            weight=weight,
            kind=kind,
            n_classes=0 if kind == "regression" else int(y.max()) + 1,
            metric=resolve_metric(DEFAULT_METRIC[kind], kind),
            params={**model.defaults(shape), **({} if all_rounds else FEWER.get(model.key, {}))},
            seed=seed,
            threads=1,
            deadline=deadline or Deadline(budget_s),
            early=early,
            rounds=rounds,
        )
    )


@pytest.fixture(autouse=True)
def quiet_optuna() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    yield
    optuna.logging.set_verbosity(before)


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_descriptor_is_sane(model: Model, kind: TaskKind) -> None:
    for n_rows, n_columns in ((50, 2), (5_000, 20), (100_000, 300)):
        shape = shape_of(kind, n_rows, n_columns)
        defaults = model.defaults(shape)
        assert all(value is None or isinstance(value, str | int | float | bool) for value in defaults.values())
        assert json.loads(json.dumps(defaults)) == defaults
        assert 0.0 < model.cost(shape) < 100_000.0
        assert math.isfinite(model.cost(shape))
        reason = model.applies(shape)
        assert reason is None or len(reason) > 10


def test_files_are_named_after_their_keys() -> None:
    folder = Path(sys.modules[registry.discover.__module__].__file__ or "").parent / "models"
    files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert files == set(registry.models())


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_search_space_suggests_parameters_the_learner_knows_and_its_defaults_fit_in(
    model: Model, kind: TaskKind
) -> None:
    shape = shape_of(kind)
    defaults = model.defaults(shape)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial({name: value for name, value in defaults.items() if value is not None}, skip_if_exists=True)
    for _ in range(3):
        trial = study.ask()
        suggested = model.space(trial, shape)
        assert suggested == trial.params
        assert set(suggested) <= set(defaults)
        study.tell(trial, 0.0)
    for name, distribution in study.trials[0].distributions.items():
        default = defaults[name]
        assert default is None or distribution._contains(distribution.to_internal_repr(default)), (name, default)


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_variants_are_other_settings_of_known_parameters(model: Model, kind: TaskKind) -> None:
    for n_rows in (400, 100_000):
        shape = shape_of(kind, n_rows)
        defaults = model.defaults(shape)
        settings = [defaults, *({**defaults, **variant} for variant in model.variants(shape))]
        assert all(set(setting) == set(defaults) for setting in settings)
        assert len({tuple(sorted(setting.items())) for setting in settings}) == len(settings)


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_quicker_parameters_differ_from_the_defaults_and_take_a_part_of_the_time(model: Model, kind: TaskKind) -> None:
    for n_rows in (400, 100_000):
        shape = replace(shape_of(kind, n_rows), max_levels=40)
        quicker, defaults = model.quicker(shape), model.defaults(shape)
        if quicker is not None:
            assert set(quicker.params) <= set(defaults)
            assert {**defaults, **quicker.params} != defaults
            assert 0.0 < quicker.share < 1.0


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_fits_predicts_and_does_so_again(model: Model, kind: TaskKind, capfd: pytest.CaptureFixture[str]) -> None:
    X, y = table(kind, model)
    first, second = fit(model, kind, X, y), fit(model, kind, X, y)
    prediction = first.predict(X)
    assert prediction.dtype == np.float64
    assert prediction.shape == (len(y), {"binary": 2, "multiclass": 3, "regression": 1}[kind])
    assert np.isfinite(prediction).all()
    np.testing.assert_array_equal(prediction, second.predict(X))
    np.testing.assert_allclose(first.predict(X.iloc[[7]]), prediction[[7]], rtol=1e-5, atol=1e-7)
    if kind != "regression":
        assert (prediction >= 0.0).all()
        np.testing.assert_allclose(prediction.sum(axis=1), 1.0, atol=1e-6)
    assert not first.cut
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_beats_the_constant_on_an_easy_table(model: Model, kind: TaskKind) -> None:
    if model.family == "dummy":
        return
    metric = resolve_metric({"regression": "rmse"}.get(kind, "log_loss"), kind)
    X, y = table(kind, model)
    unseen, truth = table(kind, model, seed=1)
    score = metric.score(truth, fit(model, kind, X, y).predict(unseen))
    floor = metric.score(truth, fit(MODELS["dummy"], kind, X, y).predict(unseen))
    assert metric.better(score, floor)


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_unseen_levels_and_missing_values_are_taken_where_the_learner_says_so(model: Model, kind: TaskKind) -> None:
    X, y = table(kind, model, n_rows=150)
    fitted = fit(model, kind, X, y)
    strange = X.iloc[:4].copy()
    if not model.needs.numeric_only:
        strange["f4"] = pd.Categorical(["a", None, "new", "b"])
    if not model.needs.no_missing:
        strange["f0"] = np.float32(np.nan)
    assert np.isfinite(fitted.predict(strange)).all()


@pytest.mark.parametrize(("model", "kind"), PAIRS)
def test_a_column_without_a_known_value_in_these_rows_is_taken_where_missing_values_are(
    model: Model, kind: TaskKind
) -> None:
    if model.needs.no_missing:
        return
    X, y = table(kind, model, n_rows=150)
    X["f0"] = np.float32(np.nan)
    before = X.copy()
    assert np.isfinite(fit(model, kind, X, y).predict(X)).all()
    pd.testing.assert_frame_equal(X, before)


@pytest.mark.parametrize("model", [param for param in EVERY if "multiclass" in param.values[0].tasks])
def test_a_multiclass_fold_that_lacks_a_class_gives_the_classes_present(model: Model) -> None:
    X, y = table("binary", model)
    prediction = fit(model, "multiclass", X, y).predict(X)
    assert prediction.shape == (len(y), 2)
    np.testing.assert_allclose(prediction.sum(axis=1), 1.0, atol=1e-6)


def test_all_learners_predict_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    kept = []
    for key, model in MODELS.items():
        kind: TaskKind = "binary" if "binary" in model.tasks else "regression"
        X, y = table(kind, model, n_rows=120)
        fitted = fit(model, kind, X, y)
        kept.append((key, fitted, X, fitted.predict(X)))
    joblib.dump(kept, tmp_path / "models.joblib")
    code = (
        "import sys, joblib, numpy as np\n"
        "for key, model, X, expected in joblib.load(sys.argv[1]):\n"
        "    np.testing.assert_allclose(model.predict(X), expected, rtol=1e-12, err_msg=key)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "models.joblib")],
        check=False, capture_output=True, text=True, env=environment, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("model", [param for param in EVERY if param.values[0].key not in {"dummy", *IGNORES_WEIGHTS}])
def test_sample_weights_change_the_fit(model: Model) -> None:
    kind: TaskKind = "binary" if "binary" in model.tasks else "regression"
    X, y = table(kind, model)
    weight = np.where(y > np.median(y) if kind == "regression" else y == 1, 1.8, 0.2)
    plain, weighted = fit(model, kind, X, y).predict(X), fit(model, kind, X, y, weight=weight).predict(X)
    assert weighted[:, -1].mean() > plain[:, -1].mean()


@pytest.mark.parametrize("model", [param for param in EVERY if param.values[0].early_stopping])
def test_a_fixed_number_of_rounds_is_honoured(model: Model) -> None:
    X, y = table("regression", model)
    fitted = fit(model, "regression", X, y, rounds=7)
    assert fitted.rounds == 7
    chosen = fit(model, "regression", X, y).rounds
    assert chosen is not None
    assert chosen >= 1


@pytest.mark.parametrize("key", sorted(INTERRUPTIBLE & set(MODELS)))
@pytest.mark.slow
def test_the_deadline_ends_a_fit_and_what_was_fitted_is_kept(key: str) -> None:
    model = MODELS[key]
    random = np.random.default_rng(0)
    rows = random.normal(size=(6_000, 60)).astype(np.float32)
    X = pd.DataFrame(rows, columns=[f"f{column}" for column in range(60)])
    y = (rows[:, :10].sum(axis=1) * 2 + 3 * random.normal(size=len(rows))).round().clip(-7, 7).astype(np.int64) + 7
    y[:15] = np.arange(15)
    fit(model, "multiclass", X.iloc[:200], np.minimum(y[:200], 1), budget_s=60)
    start = time.monotonic()
    try:
        fitted = fit(model, "multiclass", X, y, budget_s=0.4, all_rounds=True)
    except DeadlinePassed:
        fitted = None
    seconds = time.monotonic() - start
    assert seconds < 3.0
    if fitted is not None:
        assert fitted.cut or seconds < 1.0
        assert np.isfinite(fitted.predict(X.iloc[:50])).all()


@pytest.mark.parametrize("model", [param for param in EVERY if param.values[0].key != "dummy"])
def test_no_time_at_all_is_an_error_not_an_empty_model(model: Model) -> None:
    kind: TaskKind = "binary" if "binary" in model.tasks else "regression"
    X, y = table(kind, model, n_rows=100)
    with pytest.raises(DeadlinePassed):
        fit(model, kind, X, y, budget_s=1e-9)


@pytest.mark.parametrize("key", ["elastic_net", "linear"])
def test_a_search_for_the_penalty_that_the_clock_shortened_says_so(key: str) -> None:
    X, y = table("binary", MODELS[key])
    # Every look at the clock costs three seconds, so that half of the time is over after a few penalties.
    reads = count(0.0, 3.0)
    fitted = fit(MODELS[key], "binary", X, y, deadline=Deadline(100.0, clock=lambda: next(reads)))
    assert fitted.cut
    assert np.isfinite(fitted.predict(X)).all()
    assert not fit(MODELS[key], "binary", X, y).cut
