"""What means rest on: effects of perturbations on mean profiles, additive unless the data say otherwise.

For each gene, the mean of condition (p, c) is taken as

    m_c + sum_i p_i (e_i + d_ic) + r_pc + noise / sqrt(cells)

with Gaussian priors: e_i around a mean that all perturbations share, d_ic alike in cell types with like controls, r_pc
the interaction of a combination. How large each of them is compared with the noise is chosen by the marginal likelihood
of the training data: per gene for the effects as a whole, over all genes for their relations. So an effect that is no
larger than its noise shrinks, where the difference of two means would keep all of it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from evenkeel_recipes.virtual_cell.means.profiles import Array, Profiles

SCALES = np.concatenate([[0.0], np.logspace(-3, 2, 16)])  # variance of an effect, in variances of a single cell
FLAT = 1e3  # the same for the mean of a cell type: as good as unknown
SHARED = (0.0, 0.3, 1.0)  # variance of what all perturbations have in common, of that of an effect
BY_TYPE = (0.0, 0.1, 0.4, 1.0)  # variance of what is a type's own
REACH = (0.5, 1.5)  # how alike types must be to share it, in median distances of their controls
INTERACTION = (0.02, 0.15)  # variance of an interaction


@dataclass(frozen=True, slots=True)
class Design:
    """Conditions as the anchor sees them: weights [conditions, perturbations] float64 and types [conditions]."""

    code: Array
    cell_type: NDArray[np.int64]

    def __len__(self) -> int:
        """How many conditions."""
        return len(self.cell_type)


@dataclass(frozen=True, slots=True)
class Likeness:
    """What is alike before any effect was seen.

    Attributes:
        perturbations: [perturbations, perturbations], covariance of effects: the identity for names alone.
        distance: [types, types], between control profiles, in units of their median; inf without controls.
    """

    perturbations: Array
    distance: Array


@dataclass(frozen=True, slots=True)
class Relations:
    """What was chosen over all genes."""

    shared: float
    by_type: float
    reach: float
    interaction: float


@dataclass(frozen=True, slots=True)
class Anchor:
    """Means of the training conditions, and what is needed to speak of others.

    Attributes:
        design, mean, number: of the training conditions, see `Profiles`.
        variance: [columns].
        weights: [scales, columns], how likely each scale is.
    """

    design: Design
    mean: Array
    number: Array
    variance: Array
    likeness: Likeness
    relations: Relations
    weights: Array

    def predict(self, wanted: Design) -> Array:
        """Mean profiles [conditions, columns] of any conditions, controls included."""
        middle = self.mean.mean(0)
        found = np.zeros((len(wanted), self.mean.shape[1]))
        for scale, weight in zip(SCALES, self.weights, strict=True):
            own = self._covariance(self.design, self.design, scale) + np.diag(1 / self.number)
            other = self._covariance(wanted, self.design, scale)
            found += weight * (other @ np.linalg.solve(own, self.mean - middle))
        return np.asarray(middle + found)

    def _covariance(self, left: Design, right: Design, scale: float) -> Array:
        return covariance(left, right, self.likeness, scale, self.relations)


def fit_anchor(
    profiles: Profiles,
    codes: Array,
    control: int,
    alike: Array,
    n_types: int,
    among: Sequence[Relations] | None = None,
) -> Anchor:
    """Choose all scales and relations.

    Args:
        profiles: of the training cells.
        codes: [treatments, perturbations].
        control: position of the control among the treatments.
        alike: see `Likeness.perturbations`.
        n_types: how many cell types there are.
        among: the relations to choose from; None: about 25 of all kinds.

    Cost: for each of these relations ten times the third power of the number of conditions, and twice its square for
    each column; about a second for 300 conditions of 2,000 genes.
    """
    design = Design(codes[profiles.treatment].astype(np.float64), profiles.cell_type)
    likeness = Likeness(alike, _distances(profiles, control, n_types))
    best, best_total, likely = Relations(0.0, 0.0, 1.0, 0.0), -np.inf, np.zeros((len(SCALES), profiles.mean.shape[1]))
    for relations in among or _grid(design):
        log_evidence = _evidence(profiles, *_at(design, design, likeness, relations))
        top = log_evidence.max(0)
        per_gene = top + np.log(np.exp(log_evidence - top).mean(0))
        if per_gene.sum() > best_total:
            best, best_total = relations, per_gene.sum()
            likely = np.exp(log_evidence - top)
    return Anchor(design, profiles.mean, profiles.number, profiles.variance, likeness, best, likely / likely.sum(0))


def _grid(design: Design) -> Iterator[Relations]:
    """Relations that conditions can tell apart."""
    most_types, most_parts = len(np.unique(design.cell_type)), (design.code != 0).sum(1).max()
    grid = itertools.product(
        SHARED,
        BY_TYPE if most_types > 1 else (0.0,),
        REACH if most_types > 2 else REACH[-1:],  # noqa: PLR2004  two types are equally far from one another
        INTERACTION if most_parts > 1 else (0.0,),
    )
    return itertools.starmap(Relations, grid)


def covariance(left: Design, right: Design, likeness: Likeness, scale: float, relations: Relations) -> Array:
    """Prior covariance [left, right] of means, in variances of a single cell."""
    same_type = (left.cell_type[:, None] == right.cell_type).astype(np.float64)
    near = np.exp(-0.5 * (likeness.distance[np.ix_(left.cell_type, right.cell_type)] / relations.reach) ** 2)
    effects = left.code @ likeness.perturbations @ right.code.T + relations.shared * np.outer(
        left.code.sum(1), right.code.sum(1)
    )
    pairs = ((left.code != 0).sum(1) > 1)[:, None] & np.all(left.code[:, None] == right.code[None], axis=2)
    within = FLAT * same_type + scale * relations.interaction * pairs * same_type
    return np.asarray(within + scale * effects * (1 - relations.by_type + relations.by_type * near))


def _at(left: Design, right: Design, likeness: Likeness, relations: Relations) -> tuple[Array, Array]:
    """Prior covariance without effects, and what is added to it for a scale of 1; it is linear in the scale."""
    without = covariance(left, right, likeness, 0.0, relations)
    return without, covariance(left, right, likeness, 1.0, relations) - without


def _evidence(profiles: Profiles, without: Array, effects: Array) -> Array:
    """Log marginal likelihood [scales, columns] of the means; 0 for columns that never vary.

    Both covariances are made diagonal at once, so that a scale costs no more than a sum over conditions.
    """
    root = np.linalg.cholesky(without + np.diag(1 / profiles.number))
    white = solve_triangular(root, np.eye(len(root)), lower=True)
    along, axes = np.linalg.eigh(white @ effects @ white.T)
    squares = (axes.T @ white @ (profiles.mean - profiles.mean.mean(0))) ** 2
    spread = 1 + SCALES[:, None] * np.maximum(along, 0.0)  # below 0 by rounding only
    log_determinant = np.log(spread).sum(1) + 2 * np.log(np.diag(root)).sum()
    varies = profiles.variance > 0
    scaled = np.divide(
        (1 / spread) @ squares, profiles.variance, out=np.zeros((len(SCALES), len(varies))), where=varies
    )
    return np.asarray(np.where(varies, -0.5 * (scaled + log_determinant[:, None]), 0.0))


def _distances(profiles: Profiles, control: int, n_types: int) -> Array:
    """Between the control profiles of types; a type without controls is far from all."""
    found = np.full((n_types, n_types), np.inf)
    np.fill_diagonal(found, 0.0)
    rows = [(kind, row) for kind in range(n_types) if (row := profiles.find(control, kind)) is not None]
    for (kind, row), (other, beside) in itertools.permutations(rows, 2):
        found[kind, other] = np.linalg.norm(profiles.mean[row, :-1] - profiles.mean[beside, :-1])
    between = found[np.isfinite(found) & (found > 0)]
    return found / np.median(between) if len(between) else found
