"""From a reference to the samples that training sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from evenkeel_recipes.deconvolution.config import DataConfig
from evenkeel_recipes.deconvolution.data.mixtures import (
    Mixtures,
    Signature,
    composition,
    mix,
    mix_alike,
    rescaled,
    signature_of,
)
from evenkeel_recipes.deconvolution.data.reference import Parts, Reference, divide, halved, united
from evenkeel_recipes.deconvolution.likelihoods.likelihood import Fitted, fit_all, joined
from evenkeel_recipes.deconvolution.likelihoods.study import fit_and_doubt, fit_study
from evenkeel_recipes.deconvolution.networks.streams import Samples
from evenkeel_recipes.deconvolution.science import Science
from evenkeel_recipes.kit.refusal import Refused

Array = NDArray[np.float64]
BLOCKS = 8
Fit = Callable[[Array, Signature], Fitted]


@dataclass(frozen=True, slots=True)
class Design:
    """What a study is like: how its samples are drawn, and how they are fitted."""

    draw: Callable[[Reference, int, int, float, int], Mixtures]
    fit: Fit


ALONE, TOGETHER, ONE_TISSUE = Design(mix, fit_all), Design(mix, fit_study), Design(mix_alike, fit_study)
TRAINED_ON = ((100, ALONE), (50, TOGETHER), (20, ONE_TISSUE), (150, TOGETHER), (500, TOGETHER))  # a redraw each in turn
CHOSEN_BY = (ALONE, Design(mix, fit_and_doubt), ALONE, Design(mix_alike, fit_and_doubt))  # a block each in turn


@dataclass(frozen=True, slots=True)
class Split:
    """The samples of one split.

    Attributes:
        fitted: what the likelihoods say.
        view: [samples, genes] float32, what the network is given.
        totals: [samples] float64, counts of each sample before they were scaled.
        fractions: [samples, types] float64, the truth.
    """

    fitted: Fitted
    view: NDArray[np.float32]
    totals: NDArray[np.float64]
    fractions: NDArray[np.float64]

    def without_view(self) -> Split:
        """Without what the network is given, which is nearly all of the memory: for when it has been trained."""
        return replace(self, view=np.empty((len(self.view), 0), np.float32))

    def samples(self, target: Callable[[Tensor], Tensor]) -> Samples:
        """As the trainer wants them; `target` makes of the view what a mix is compared with."""
        return Samples.of(self.fitted, self.view, self.fractions, target)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The splits by name."""

    train: Split
    val: Split
    test: Split


def known_signature(reference: Reference, science: Science) -> Signature:
    """The signature that the likelihoods use."""
    plain = signature_of(reference)
    return replace(plain, content=science.content(plain))


def simulate(parts: Parts, config: DataConfig, science: Science) -> Prepared:
    """Pseudo-bulk samples of all splits; those to choose and to judge by are of cells that training does not see."""
    signature = known_signature(parts.train, science)
    return Prepared(
        train=to_train_on(parts.train, config, science),
        val=to_choose_by(parts.validation, signature, config, science),
        test=to_judge_by(parts, signature, config, science, config.n_test, config.seed + 999),
    )


def to_choose_by(cells: Reference, signature: Signature, config: DataConfig, science: Science) -> Split:
    """Studies by three technologies; half of them are fitted sample by sample, a quarter are of one tissue each."""
    studies = _by_technologies(cells, config)
    return _together([_split(study, signature, science, design.fit) for design, study in studies])


def to_calibrate(parts: Parts, config: DataConfig, science: Science) -> Split:
    """The samples to choose by, fitted with all other cells: nearly as many as the estimator that is kept will have."""
    return to_choose_by(parts.validation, known_signature(united(parts.train, parts.test), science), config, science)


def to_judge_by(
    parts: Parts, signature: Signature, config: DataConfig, science: Science, n_samples: int, seed: int
) -> Split:
    """One study of cells that neither training nor choosing sees, measured by the reference's own technology."""
    return _split(mix(parts.test, n_samples, config.n_cells, config.alpha, seed), signature, science, fit_and_doubt)


def to_train_on(cells: Reference, config: DataConfig, science: Science) -> Split:
    """Samples that come from other cells than the signature they are fitted with, as real bulk does.

    The cells are divided anew `redraws` times, three quarters for the signature. Each study of samples is measured by
    another technology.

    Raises:
        Refused: there are fewer samples than redraws.
    """
    if config.n_train < config.redraws:
        raise Refused(
            f"{config.n_train} training samples cannot come from {config.redraws} redraws; ask for more samples"
        )
    pieces = []
    for redraw in range(config.redraws):
        known, mixed = divide(cells, (0.75, 0.25), config.seed + redraw)
        signature = known_signature(known, science)
        size, design = TRAINED_ON[redraw % len(TRAINED_ON)]
        studies = _studies(mixed, size, design, config, 10_000 * config.seed + 1000 * redraw)
        pieces += [_split(study, signature, science, design.fit) for study in studies]
    return _together(pieces)


def _studies(cells: Reference, size: int, design: Design, config: DataConfig, seed: int) -> Iterator[Mixtures]:
    """The samples of a redraw in studies of `size`, each measured by a technology of its own."""
    rng, n_samples = np.random.default_rng(seed), config.n_train // config.redraws
    for start in range(0, n_samples, size):
        drawn = design.draw(cells, min(size, n_samples - start), config.n_cells, config.alpha, seed + start)
        yield rescaled(drawn, rng.uniform(0, config.technology), seed + start)


def technologies(config: DataConfig) -> tuple[float, float, float]:
    """Deviations by which the thirds of the validation samples are measured; the first is the reference's own."""
    return (0.0, config.technology / 2, config.technology)


def of_own_technology(config: DataConfig) -> int:
    """How many of the validation samples, which come first, the reference's own technology has measured."""
    return config.n_val // 3


def _by_technologies(reference: Reference, config: DataConfig) -> Iterator[tuple[Design, Mixtures]]:
    """A third of the samples each, in studies of half of the cells that there are.

    An estimate of a study is wrong in one direction because of which cells it got, and a new sample will have others.
    """
    n_each = of_own_technology(config)
    for place, deviation in enumerate(technologies(config)):
        for block in range(BLOCKS):
            seed = config.seed + 123 + BLOCKS * place + block
            n_samples = n_each * (block + 1) // BLOCKS - n_each * block // BLOCKS
            design = CHOSEN_BY[block % len(CHOSEN_BY)]
            drawn = design.draw(halved(reference, seed), n_samples, config.n_cells, config.alpha, seed)
            yield design, rescaled(drawn, deviation, seed)


def _split(mixtures: Mixtures, signature: Signature, science: Science, fit: Fit) -> Split:
    fitted = fit(composition(mixtures.counts), signature)
    return Split(fitted, science.bulk_view(mixtures.counts), mixtures.counts.sum(1), science.labels(mixtures))


def _together(pieces: Sequence[Split]) -> Split:
    return Split(
        joined([piece.fitted for piece in pieces]),
        np.concatenate([piece.view for piece in pieces]),
        np.concatenate([piece.totals for piece in pieces]),
        np.concatenate([piece.fractions for piece in pieces]),
    )
