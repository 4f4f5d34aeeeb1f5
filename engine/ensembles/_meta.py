"""What the members say, as inputs of a second learner: values for regression, clipped log odds or log probabilities for classes."""

from __future__ import annotations

import numpy as np

_LEAST = 1e-4


def meta_features(stack: np.ndarray, regression: bool) -> np.ndarray:
    """(n_members, n_rows, n_outputs) → (n_rows, n_features); one column per member for values and for two classes."""
    if regression:
        return np.ascontiguousarray(stack[:, :, 0].T)
    logs = np.log(np.clip(stack, _LEAST, 1.0))
    if stack.shape[2] == 2:
        return np.ascontiguousarray((logs[:, :, 1] - logs[:, :, 0]).T)
    centred = logs - logs.mean(axis=2, keepdims=True)
    return np.ascontiguousarray(centred.transpose(1, 0, 2).reshape(stack.shape[1], -1))
