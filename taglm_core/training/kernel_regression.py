"""One ridge regression on Gaussian kernels, of squared distances."""

import hashlib
from collections.abc import Sequence

import attrs
import torch
from torch import Tensor

from taglm_core.training.ridge_fit import Directions, Solution, TargetRows, solve_rows

MEDIAN_ROWS = 500
"""Training rows whose distances give a kernel its unit."""
_LEAST_EIGENVALUE = 1e-6


@attrs.frozen(eq=False)
class Kernel:
    """One regression of a kernel head, fitted."""

    gamma: float
    """Of its kernel."""
    weight: Tensor
    """float64 `(outputs, points)`."""
    solution: Solution


def digest_of(*decides: object) -> bytes:
    """Return a digest of tensors, and of whatever has an exact `repr`."""
    digest = hashlib.sha256()
    for part in decides:
        if isinstance(part, Tensor):
            digest.update(repr((part.dtype, tuple(part.shape))).encode())
            digest.update(part.contiguous().numpy().data)
        else:
            digest.update(repr(part).encode())
    return digest.digest()


def gamma_of(width: float, distances: Tensor) -> float:
    """Return the gamma of a width, by squared distances `(rows, points)` of training rows."""
    return width / max(float(distances[:MEDIAN_ROWS].median()), 1e-6)


def fit_width(
    apart: Sequence[Tensor], rows: TargetRows, alphas: Sequence[float] | None, width: float
) -> Kernel:
    """Fit a kernel to the squared distances of training rows, validation rows and points."""
    distances, valid_distances, own = apart
    gamma = gamma_of(width, distances)
    kernel = torch.exp(-gamma * own)
    valid, whole = torch.exp(-gamma * valid_distances), None
    if len(own) == len(distances):  # the points are the rows, and turned by the kernel already
        values, vectors = _principal(kernel)
        train, root = vectors * values.sqrt(), vectors / values.sqrt()
        whole = Directions(train, values)
        valid = valid @ root
    else:
        root = inverse_root(kernel)
        train, valid = torch.exp(-gamma * distances) @ root, valid @ root
    solved = solve_rows(train, valid, rows, alphas, whole)
    return Kernel(gamma, (root @ solved.weights).T, attrs.evolve(solved, width=width))


def _principal(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Return a kernel's eigenvalues `(rank,)` that count, and their vectors `(points, rank)`."""
    values, vectors = torch.linalg.eigh(kernel)
    is_kept = values > _LEAST_EIGENVALUE * values[-1]
    return values[is_kept], vectors[:, is_kept]


def inverse_root(kernel: Tensor) -> Tensor:
    """Return `R`, `(points, points)`, with `R R' = (kernel + small)^-1`, far cheaper than vectors.

    Args:
        kernel: float64 `(points, points)`, ones on its diagonal.
    """
    eye = torch.eye(len(kernel), dtype=kernel.dtype)
    lower = torch.linalg.cholesky(kernel + _LEAST_EIGENVALUE * len(kernel) * eye)
    root: Tensor = torch.linalg.solve_triangular(lower, eye, upper=False).T
    return root
