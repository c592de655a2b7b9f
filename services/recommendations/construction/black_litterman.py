"""Black-Litterman by its formulas, for the acceptance numbers and for what is told of a view."""

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]


def implied_returns(covariance: Array, market: Array, risk_aversion: float) -> Array:
    """Π = δ Σ w: what the market's weights say that it expects."""
    found: Array = risk_aversion * covariance @ market
    return found


def posterior(
    covariance: Array, prior: Array, tau: float, picks: Array, views: Array
) -> tuple[Array, Array]:
    """Mean and M, with Ω = diag(P τΣ P'): M = ((τΣ)⁻¹ + P'Ω⁻¹P)⁻¹."""
    spread = np.linalg.inv(tau * covariance)
    if not len(views):
        return prior, tau * covariance
    doubt = np.linalg.inv(np.diag(np.diag(picks @ (tau * covariance) @ picks.T)))
    scale: Array = np.linalg.inv(spread + picks.T @ doubt @ picks)
    mean: Array = scale @ (spread @ prior + picks.T @ doubt @ views)
    return mean, scale


def optimum(covariance: Array, scale: Array, mean: Array, risk_aversion: float) -> Array:
    """Unconstrained weights with the covariance Σ + M."""
    found: Array = np.linalg.solve(risk_aversion * (covariance + scale), mean)
    return found
