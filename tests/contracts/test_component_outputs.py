"""What every target transform and every correction of predictions promises, checked on all that are registered."""

from __future__ import annotations

import numpy as np
import pytest
from component_tables import cases, make_context, make_table, make_target
from hypothesis import given, settings
from hypothesis import strategies as st
from mle_star.engine.plugins import Component
from mle_star.engine.task import TaskKind

N_ROWS = 400
target_cases = pytest.mark.parametrize(("component", "kind"), cases("target"))
post_cases = pytest.mark.parametrize(("component", "kind"), cases("post"))


@target_cases
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_target_transform_can_be_undone(component: Component, kind: TaskKind, data: st.DataObject) -> None:
    assert component.fit_target is not None
    n_rows = data.draw(st.integers(1, 40))
    if kind == "regression":
        value = st.floats(0.0, 1e6) | st.floats(-0.9, 1.0)
        y = np.array(data.draw(st.lists(value, min_size=n_rows, max_size=n_rows)))
    else:
        y = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n_rows, max_size=n_rows)))
    transform = component.fit_target(y, dict(component.defaults), make_context(kind, n_rows))
    fitted = transform.transform(y)
    assert np.isfinite(fitted).all()
    weights = transform.weights(y)
    if weights is not None:
        assert weights.mean() == pytest.approx(1.0)
        assert (weights > 0).all()
    if kind == "regression":
        back = transform.inverse(fitted.reshape(-1, 1))
        assert back.shape == (n_rows, 1)
        scale = max(1.0, float(np.abs(y).max()))
        np.testing.assert_allclose(back[:, 0], y, atol=1e-5 * scale)
    else:
        np.testing.assert_array_equal(fitted, y)


@target_cases
def test_an_inverted_prediction_is_always_usable(component: Component, kind: TaskKind) -> None:
    assert component.fit_target is not None
    y = make_target(make_table(N_ROWS), kind)
    transform = component.fit_target(y, dict(component.defaults), make_context(kind, N_ROWS))
    if kind == "regression":
        wild = np.array([[np.inf], [-np.inf], [np.nan], [1e30], [-1e30]])
        values = transform.inverse(wild)
        assert np.isfinite(values).all()
        width = y.max() - y.min()
        assert ((values >= y.min() - width) & (values <= y.max() + width)).all()
        return
    raw = np.random.default_rng(0).dirichlet(np.ones(len(make_context(kind, 1).task.classes)), 50)
    raw[0] = np.eye(raw.shape[1])[0]
    chances = transform.inverse(raw)
    np.testing.assert_allclose(chances.sum(axis=1), 1.0)
    assert (chances >= 0).all()


@post_cases
@given(seed=st.integers(0, 10_000), n_rows=st.integers(1, 60), sharp=st.floats(0.05, 20.0))
@settings(max_examples=30, deadline=None)
def test_a_correction_keeps_shape_and_probabilities(
    component: Component, kind: TaskKind, seed: int, n_rows: int, sharp: float
) -> None:
    assert component.fit_post is not None
    rng = np.random.default_rng(seed)
    context = make_context(kind, n_rows)
    if kind == "regression":
        prediction, y = rng.normal(size=(n_rows, 1)) * 100, rng.normal(size=n_rows)
    else:
        n_classes = len(context.task.classes)
        prediction = rng.dirichlet(np.full(n_classes, 1.0 / sharp), n_rows)
        y = rng.integers(0, n_classes, n_rows)
    before = prediction.copy()
    correction = component.fit_post(prediction, y, dict(component.defaults), context)
    corrected = correction.apply(prediction)
    np.testing.assert_array_equal(prediction, before)
    assert corrected.shape == prediction.shape
    assert np.isfinite(corrected).all()
    if kind != "regression":
        np.testing.assert_allclose(corrected.sum(axis=1), 1.0)
        assert (corrected >= 0).all()
