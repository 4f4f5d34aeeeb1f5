"""What every block component promises, checked on everything that is registered."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import optuna
import pandas as pd
import pytest
from component_tables import EVERY, SLOTS, cases, full_shape, make_context, make_table, make_target
from mle_star.engine.plugins import Component, ParamDict
from mle_star.engine.roles import Role
from mle_star.engine.solution import TABLE_SLOTS
from mle_star.engine.table import Table
from mle_star.engine.task import TaskKind

ROOT = Path(__file__).resolve().parents[2]
N_ROWS = 400


every_component = pytest.mark.parametrize("component", EVERY, ids=lambda item: f"{item.slot}.{item.key}")
table_cases = pytest.mark.parametrize(("component", "kind"), cases(*TABLE_SLOTS))
table_once = pytest.mark.parametrize(("component", "kind"), cases(*TABLE_SLOTS, n_kinds=1))


def fit(
    component: Component, table: Table, y: np.ndarray, kind: TaskKind, params: ParamDict | None = None
) -> tuple[Table, Any]:
    assert component.fit_table is not None
    context = make_context(kind, len(y))
    return component.fit_table(table, y, {**component.defaults, **(params or {})}, context)


def plain(table: Table) -> pd.DataFrame:
    """The frame with categories as text, so that equal values compare equal."""
    return table.frame.astype(
        {name: object for name in table.frame.columns if isinstance(table.frame[name].dtype, pd.CategoricalDtype)}
    )


def assert_same(left: Table, right: Table) -> None:
    assert dict(left.roles) == dict(right.roles)
    pd.testing.assert_frame_equal(plain(left), plain(right), check_exact=True)


def assert_well_formed(table: Table, index: pd.Index) -> None:
    assert list(table.roles) == list(table.frame.columns)
    assert table.frame.columns.is_unique
    assert table.frame.index.equals(index)
    for name in table.columns(Role.NUMERIC, Role.BOOLEAN):
        assert table.frame[name].dtype.kind == "f", name
    for name in table.columns(Role.BOOLEAN):
        assert table.frame[name].dropna().isin([0.0, 1.0]).all(), name
    for name in table.columns(Role.CATEGORICAL):
        assert isinstance(table.frame[name].dtype, pd.CategoricalDtype), name


def suggestions(component: Component, kind: TaskKind, n_trials: int) -> list[tuple[ParamDict, dict[str, Any]]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    found = []
    for _ in range(n_trials):
        trial = study.ask()
        found.append((component.space(trial, full_shape(kind)), dict(trial.params)))
        study.tell(trial, 0.0)
    return found


# --- descriptors ------------------------------------------------------------------------------------------------------


def test_every_slot_has_components() -> None:
    assert {component.slot for component in EVERY} == set(SLOTS)


@every_component
def test_the_key_is_the_file_name(component: Component) -> None:
    assert (ROOT / "engine" / "components" / component.slot / f"{component.key}.py").is_file()


@every_component
def test_exactly_the_fit_function_of_the_slot_is_set(component: Component) -> None:
    wanted = {"target": "fit_target", "post": "fit_post"}.get(component.slot, "fit_table")
    assert [name for name in ("fit_table", "fit_target", "fit_post") if getattr(component, name)] == [wanted]


@every_component
def test_title_and_summary_fit_in_a_report(component: Component) -> None:
    assert 0 < len(component.title) <= 40
    assert 40 <= len(component.summary) <= 132
    assert component.summary.endswith(".")
    assert component.tasks


@every_component
def test_components_that_are_alternatives_have_the_same_place(component: Component) -> None:
    same = [other for other in EVERY if (other.slot, other.group) == (component.slot, component.group)]
    assert {other.order for other in same} == {component.order}


@every_component
def test_the_space_suggests_its_own_parameters_by_name(component: Component) -> None:
    for kind in sorted(component.tasks):
        for params, asked in suggestions(component, kind, 10):
            assert params == asked
            assert set(params) <= set(component.defaults)


@every_component
def test_a_reason_is_given_where_a_component_has_nothing_to_do(component: Component) -> None:
    for kind in sorted(component.tasks):
        assert component.applies(full_shape(kind)) is None
        empty = replace(
            full_shape(kind),
            n_rows=2, n_numeric=0, n_categorical=0, n_boolean=0, n_datetime=0, n_text=0, n_id=0, max_levels=0,
            missing_share=0.0, minority_share=0.5, target_skew=0.0, target_min=-5.0,
        )  # fmt: skip
        reason = component.applies(empty)
        assert reason is None or reason.strip()


# --- table components -------------------------------------------------------------------------------------------------


@table_cases
def test_apply_gives_the_columns_that_fit_gave(component: Component, kind: TaskKind) -> None:
    table = make_table(N_ROWS)
    trained, transform = fit(component, table, make_target(table, kind), kind)
    applied = transform.apply(table)
    assert_well_formed(trained, table.frame.index)
    assert_well_formed(applied, table.frame.index)
    assert dict(applied.roles) == dict(trained.roles)
    assert applied.frame.dtypes.equals(trained.frame.dtypes)


@table_once
def test_new_numbers_are_float32(component: Component, kind: TaskKind) -> None:
    table = make_table(N_ROWS)
    trained, _ = fit(component, table, make_target(table, kind), kind)
    added = [name for name in trained.columns(Role.NUMERIC, Role.BOOLEAN) if name not in table.frame.columns]
    assert (trained.frame[added].dtypes == np.float32).all()


@table_cases
def test_the_input_is_not_changed(component: Component, kind: TaskKind) -> None:
    table = make_table(N_ROWS)
    y = make_target(table, kind)
    frame, target = table.frame.copy(deep=True), y.copy()
    _, transform = fit(component, table, y, kind)
    transform.apply(table)
    pd.testing.assert_frame_equal(table.frame, frame, check_exact=True)
    np.testing.assert_array_equal(y, target)


@table_once
def test_equal_seeds_give_equal_results(component: Component, kind: TaskKind) -> None:
    table = make_table(N_ROWS)
    y = make_target(table, kind)
    (first, transform), (second, again) = fit(component, table, y, kind), fit(component, table, y, kind)
    assert_same(first, second)
    assert_same(transform.apply(table), again.apply(table))


@table_once
def test_a_row_is_transformed_alike_alone_and_among_others(component: Component, kind: TaskKind) -> None:
    table = make_table(N_ROWS)
    _, transform = fit(component, table, make_target(table, kind), kind)
    together = transform.apply(table).take(np.array([3, 17]))
    alone = transform.apply(table.take(np.array([3, 17])))
    pd.testing.assert_frame_equal(plain(alone), plain(together), rtol=1e-4, atol=1e-5)


@table_once
def test_unseen_levels_missing_and_infinite_values_are_accepted(component: Component, kind: TaskKind) -> None:
    table = make_table(N_ROWS)
    trained, transform = fit(component, table, make_target(table, kind), kind)
    for strange in (unseen(table), emptied(table), infinite(table)):
        applied = transform.apply(strange)
        assert_well_formed(applied, strange.frame.index)
        assert list(applied.frame.columns) == list(trained.frame.columns)


def unseen(table: Table) -> Table:
    """Every category and text is new, and the levels of the training rows are not even listed."""
    frame = table.frame.copy()
    for name in table.columns(Role.CATEGORICAL, Role.ID, Role.CONSTANT):
        frame[name] = pd.Categorical(["never seen"] * len(frame))
    for name in table.columns(Role.TEXT):
        frame[name] = pd.Series(["völlig neu ✓"] * len(frame), index=frame.index, dtype="str")
    return table.replace(frame)


def emptied(table: Table) -> Table:
    """No value at all."""
    frame = table.frame.copy()
    for name in frame.columns:
        frame[name] = pd.Series([None] * len(frame), index=frame.index).astype(frame[name].dtype)
    return table.replace(frame)


def infinite(table: Table) -> Table:
    frame = table.frame.copy()
    for name in table.columns(Role.NUMERIC):
        frame.loc[frame.index[::3], name] = np.inf
        frame.loc[frame.index[1::3], name] = -1e300
    return table.replace(frame)


@table_cases
def test_fitting_accepts_missing_and_infinite_columns(component: Component, kind: TaskKind) -> None:
    table = make_table(N_ROWS)
    y = make_target(table, kind)
    for strange in (emptied(table), infinite(table)):
        trained, transform = fit(component, strange, y, kind)
        assert list(transform.apply(table).frame.columns) == list(trained.frame.columns)


@table_cases
def test_other_rows_never_influence_the_fit(component: Component, kind: TaskKind) -> None:
    """Categories are collected over the whole table: levels, values and order of the other rows must not matter."""
    table, train, rest = make_table(N_ROWS), np.arange(300), np.arange(300, N_ROWS)
    y = make_target(table, kind)[train]
    frame = table.frame.copy()
    for name in table.columns(Role.CATEGORICAL, Role.ID):
        values = frame[name].astype(object)
        values.iloc[rest] = [f"a{number}" for number in range(len(rest))]
        old = list(frame[name].cat.categories)
        frame[name] = pd.Categorical(values, categories=[*(f"a{number}" for number in range(len(rest))), *old])
    for name in table.columns(Role.NUMERIC):
        frame.iloc[rest, frame.columns.get_loc(name)] = 1e6
    changed = table.replace(frame)
    trained, transform = fit(component, table.take(train), y, kind)
    trained_again, transform_again = fit(component, changed.take(train), y, kind)
    # Columns that a component leaves alone keep the levels of the whole table; their values are what counts.
    assert_same(trained, trained_again)
    assert_same(transform.apply(table.take(rest)), transform_again.apply(table.take(rest)))


@table_cases
def test_one_row_and_no_columns_are_enough(component: Component, kind: TaskKind) -> None:
    table = make_table(N_ROWS)
    y = make_target(table, kind)
    trained, transform = fit(component, table.take(np.array([5])), y[5:6], kind)
    assert list(transform.apply(table).frame.columns) == list(trained.frame.columns)
    trained, transform = fit(component, table.drop(table.frame.columns), y, kind)
    assert trained.frame.shape[1] == 0
    assert transform.apply(table.drop(table.frame.columns)).frame.shape == (N_ROWS, 0)


@table_once
def test_names_of_new_columns_never_collide(component: Component, kind: TaskKind) -> None:
    """A component that runs on its own output, or on a table that happens to have such names, stays unambiguous."""
    table = make_table(N_ROWS)
    y = make_target(table, kind)
    trained, _ = fit(component, table, y, kind)
    added = [name for name in trained.frame.columns if name not in table.frame.columns]
    clash = table.add(pd.DataFrame(dict.fromkeys(added, 1.5), index=table.frame.index))
    trained, transform = fit(component, clash, y, kind)
    assert_well_formed(trained, table.frame.index)
    assert_well_formed(transform.apply(clash), table.frame.index)


@table_once
def test_every_point_of_the_space_works(component: Component, kind: TaskKind) -> None:
    table = make_table(N_ROWS)
    y = make_target(table, kind)
    for params, _ in suggestions(component, kind, 4):
        trained, transform = fit(component, table, y, kind, params)
        assert list(transform.apply(table).frame.columns) == list(trained.frame.columns)


@pytest.mark.slow
@pytest.mark.parametrize("component", [item for item in EVERY if item.slot in TABLE_SLOTS], ids=lambda item: item.key)
def test_a_hundred_thousand_rows_take_seconds(component: Component) -> None:
    small = make_table(1000)
    table = Table(pd.concat([small.frame] * 100, ignore_index=True), small.roles)
    y = make_target(table, "binary")
    start = time.perf_counter()
    _, transform = fit(component, table, y, "binary")
    transform.apply(table)
    # Free text is the slow part: 100,000 texts are tokenised twice.
    assert time.perf_counter() - start < (40.0 if component.key == "text_tfidf" else 6.0)


# --- persistence ------------------------------------------------------------------------------------------------------

_LOAD = """
import sys, joblib, numpy as np, pandas as pd
for name, fitted, given, expected in joblib.load(sys.argv[1]):
    found = fitted.inverse(given) if hasattr(fitted, "inverse") else fitted.apply(given)
    if hasattr(found, "frame"):
        pd.testing.assert_frame_equal(found.frame, expected.frame, check_exact=True, obj=name)
    else:
        np.testing.assert_array_equal(found, expected, err_msg=name)
    print(name)
"""


def test_what_was_fitted_works_the_same_in_a_fresh_process(tmp_path: Path) -> None:
    table, saved = make_table(N_ROWS), []
    for component in EVERY:
        kind = sorted(component.tasks)[0]
        y, context = make_target(table, kind), make_context(kind, N_ROWS)
        params = dict(component.defaults)
        given: Any = table
        fitted: Any
        if component.fit_table:
            fitted = component.fit_table(table, y, params, context)[1]
            expected: Any = fitted.apply(given)
        else:
            given = np.linspace(0.01, 0.99, N_ROWS).reshape(-1, 1)
            given = given if kind == "regression" else np.hstack([1.0 - given, given])
            fitted = (
                component.fit_target(y, params, context)
                if component.fit_target
                else component.fit_post(given, y, params, context)  # type: ignore[misc]
            )
            expected = fitted.inverse(given) if component.fit_target else fitted.apply(given)
        saved.append((f"{component.slot}.{component.key}", fitted, given, expected))
    path = tmp_path / "fitted.joblib"
    joblib.dump(saved, path)
    # The size of what is fitted must not grow with the rows: 400 of them need little.
    assert path.stat().st_size < 8_000_000
    run = subprocess.run([sys.executable, "-c", _LOAD, str(path)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert len(run.stdout.split()) == len(EVERY)
