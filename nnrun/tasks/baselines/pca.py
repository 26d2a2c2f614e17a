"""Principal component analysis: the linear autoencoder that a network has to beat."""

from typing import NamedTuple

import numpy as np

ROWS_AT_ONCE = 4096
MOST_PRODUCTS = 10**11
"""Multiplications of a whole decomposition; above that, half a minute, the first directions alone are found."""


class PCA(NamedTuple):
    """x̂ = mean + (x - mean) V Vᵀ with V the first eigenvectors of the covariance, (features, components).

    Source: Bishop, Pattern Recognition and Machine Learning (2006), section 12.1.
    """

    mean: np.ndarray
    components: np.ndarray

    def encode(self, rows: np.ndarray) -> np.ndarray:
        """(n, features) -> (n, components)."""
        return (rows - self.mean) @ self.components

    def reconstruct(self, rows: np.ndarray) -> np.ndarray:
        """(n, features) -> (n, features)."""
        return self.mean + self.encode(rows) @ self.components.T


def fit_pca(rows: np.ndarray, components: int) -> PCA:
    """Fits (n, features) with `components` directions, or as many as there are.

    Signs, which the data leave open, make every direction's largest entry positive.
    """
    mean = rows.mean(0, dtype=np.float64)
    if rows.size * min(rows.shape) > MOST_PRODUCTS:
        vectors = _leading(rows, mean, components)
    elif len(rows) < rows.shape[1]:
        # The covariance would be larger than the data.
        vectors = np.linalg.svd(rows - mean, full_matrices=False)[2][:components].T
    else:
        # Eigenvalues come in ascending order.
        vectors = np.linalg.eigh(_scatter(rows, mean))[1][:, ::-1][:, :components]
    largest = np.abs(vectors).argmax(0)
    return PCA(mean, vectors * np.sign(vectors[largest, np.arange(vectors.shape[1])]))


def _leading(rows: np.ndarray, mean: np.ndarray, components: int) -> np.ndarray:
    """(features, components) to about four digits of the error that they leave.

    Source: Halko, Martinsson & Tropp, Finding structure with randomness (2011).
    """
    from sklearn.utils.extmath import randomized_svd

    centred = rows - mean.astype(rows.dtype)
    return randomized_svd(centred, components, n_iter=7, random_state=0)[2].T


def _scatter(rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    total = np.zeros((rows.shape[1],) * 2)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        centred = rows[start : start + ROWS_AT_ONCE] - mean
        total += centred.T @ centred
    return total
