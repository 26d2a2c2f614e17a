"""A Gaussian process over features: its most probable hyperparameters, and its posterior with slopes."""

import numpy as np
from scipy.linalg import cho_solve, cholesky
from scipy.optimize import minimize

LIMITS = {"amplitude": (0.01, 100.0), "scale": (0.02, 50.0), "noise": (1e-6, 1.0)}
NOISE = 1e-2
"""The noise from which the fit starts; fixed, so that a restored search fits the same."""
JITTER = 1e-9


class Likelihood:
    """log p(costs | theta) + log p(theta), with theta the logarithms of amplitude, length scales and noise.

    log p(y | theta) = -(y' K^-1 y + log |K| + n log 2 pi) / 2 with the covariance K of `GaussianProcess`.
    amplitude ~ Gamma(1, 1), noise ~ Gamma(0.1, 30), and a penalty of 0.1 (scale^2 + scale^-2) per length scale keeps
    the scales of a few trials from running away. Source: Rasmussen and Williams (2006), eq. 5.8 and 5.9.
    """

    def __init__(self, features: np.ndarray, costs: np.ndarray) -> None:
        self.costs = costs
        self.squares = (features.T[:, :, None] - features.T[:, None, :]) ** 2  # (d, n, n)

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """The value and its gradient by theta."""
        amplitude, scales, noise = np.exp(theta[0]), np.exp(theta[1:-1]), np.exp(theta[-1])
        covariance, slope = matern(np.einsum("dnm,d->nm", self.squares, scales**-2.0), amplitude)
        identity = np.eye(len(self.costs))
        lower = cholesky(covariance + (noise + JITTER) * identity, lower=True, check_finite=False)
        weights = cho_solve((lower, True), self.costs, check_finite=False)
        value = -0.5 * self.costs @ weights - np.log(np.diag(lower)).sum() - len(weights) / 2 * np.log(2 * np.pi)
        pull = 0.5 * (np.outer(weights, weights) - cho_solve((lower, True), identity, check_finite=False))
        by_scales = np.einsum("dnm,nm->d", self.squares, -pull * slope) / scales**2
        gradient = np.r_[(pull * covariance).sum(), by_scales, noise * np.trace(pull)]
        prior, prior_gradient = _prior(theta[0], theta[1:-1], theta[-1])
        return value + prior, gradient + prior_gradient


def _prior(amplitude: float, scales: np.ndarray, noise: float) -> tuple[float, np.ndarray]:
    """Log density at logarithms, and its gradient."""
    wide, narrow = 0.1 * np.exp(2 * scales), 0.1 * np.exp(-2 * scales)
    value = amplitude - np.exp(amplitude) - (wide + narrow).sum() + 0.1 * noise - 30 * np.exp(noise)
    return value, np.r_[1 - np.exp(amplitude), 2 * narrow - 2 * wide, 0.1 - 30 * np.exp(noise)]


def matern(squares: np.ndarray, amplitude: float) -> tuple[np.ndarray, np.ndarray]:
    """Matern 5/2 covariances of scaled squared distances, and the factor s in dk/da = s (a - b) / scales^2.

    k = amplitude (1 + r + r^2 / 3) exp(-r), r = sqrt(5 squares).
    """
    distance = np.sqrt(5 * squares)
    decay = amplitude * np.exp(-distance)
    return decay * (1 + distance + distance * distance / 3), -5 / 3 * decay * (1 + distance)


def fit(features: np.ndarray, costs: np.ndarray) -> np.ndarray:
    """The most probable theta for features (n, d) and standardised costs (n,)."""
    likelihood = Likelihood(features, costs)
    width = features.shape[1]

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = likelihood(theta)
        return -value, -gradient

    start = np.log([1.0, *[1.0] * width, NOISE])
    bounds = np.log([LIMITS["amplitude"], *[LIMITS["scale"]] * width, LIMITS["noise"]])
    options = {"maxiter": 60, "gtol": 1e-2}
    return minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x


class GaussianProcess:
    """The posterior of a process with a Matern 5/2 kernel, a length scale per feature, given noisy costs.

    Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning" (2006), eq. 2.23, 2.24 and 4.17.
    """

    smooth = True

    def __init__(self, features: np.ndarray, costs: np.ndarray) -> None:
        theta = fit(features, costs)
        self.amplitude, self.scales, self.noise = np.exp(theta[0]), np.exp(theta[1:-1]), np.exp(theta[-1])

    def observe(self, features: np.ndarray, costs: np.ndarray) -> np.ndarray:
        """Conditions on these costs, with the hyperparameters as they are; returns the posterior mean there, (n,)."""
        self.known = features
        covariance, _ = self._kernel(features)
        noise = (self.noise + JITTER) * np.eye(len(costs))
        self.lower = cholesky(covariance + noise, lower=True, check_finite=False)
        self.weights = cho_solve((self.lower, True), costs, check_finite=False)
        return covariance @ self.weights

    def _kernel(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Covariances with the known features, (n, known), and their slope factors."""
        here, there = features / self.scales, self.known / self.scales
        squares = (here**2).sum(1)[:, None] + (there**2).sum(1) - 2 * here @ there.T
        # Rounding can make the square of a small distance negative.
        return matern(np.maximum(squares, 0), self.amplitude)

    def predict(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and deviation of the noiseless cost at features (n, d); each (n,)."""
        return self._posterior(features)[:2]

    def _posterior(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        covariance, slope = self._kernel(features)
        solved = cho_solve((self.lower, True), covariance.T, check_finite=False).T
        variance = np.maximum(self.amplitude - (covariance * solved).sum(1), 1e-10)
        return covariance @ self.weights, np.sqrt(variance), solved, slope

    def slopes(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Mean and deviation at features (n, d), and the gradients (n, d) of both."""
        mean, deviation, solved, slope = self._posterior(features)
        by_mean, by_deviation = slope * self.weights, -slope * solved / deviation[:, None]
        return mean, deviation, self._gradient(features, by_mean), self._gradient(features, by_deviation)

    def _gradient(self, features: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """The sum of factors times differences to the known features, (n, d)."""
        return (features * factors.sum(1)[:, None] - factors @ self.known) / self.scales**2
