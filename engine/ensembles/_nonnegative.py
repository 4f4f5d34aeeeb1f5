"""Non-negative least squares."""

from __future__ import annotations

import numpy as np


def non_negative(inputs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Coefficients (n_columns,) of at least 0 that bring `inputs (n_rows, n_columns)` nearest to `target (n_rows,)`; raises
    `ArithmeticError` where the solver gives up."""
    from scipy.optimize import nnls

    try:
        return np.asarray(nnls(inputs, target)[0])
    except RuntimeError as error:
        raise ArithmeticError(str(error)) from error
