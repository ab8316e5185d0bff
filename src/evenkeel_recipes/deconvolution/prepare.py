"""From a reference to the samples that training sees, by way of files that a manifest vouches for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from evenkeel_recipes.deconvolution.config import RunConfig
from evenkeel_recipes.deconvolution.data import Parts, Reference, divide, resampled
from evenkeel_recipes.deconvolution.likelihood import Fitted, fit_all, joined
from evenkeel_recipes.deconvolution.mixtures import (
    TARGET_SUM,
    Mixtures,
    Signature,
    composition,
    mix,
    rescaled,
    signature_of,
)
from evenkeel_recipes.deconvolution.science import Science
from evenkeel_recipes.deconvolution.streams import Samples
from evenkeel_recipes.kit.checkpoint import write_whole
from evenkeel_recipes.kit.options import as_mapping
from evenkeel_recipes.kit.refusal import Refused

FORMAT = 1
BLOCKS = 8
SPLITS = ("train", "val", "test")
ARRAYS = ("bulk", "props", "estimates", "misfit", "deviance")
SHAPES_DATA = (  # options that change what is written here
    *("reference", "cell_type_key", "counts_layer", "donor_key", "max_cells_per_type", "n_genes", "n_train", "n_val"),
    *("n_test", "n_cells", "alpha", "redraws", "technology", "seed", "quick_test", "fault"),
)


@dataclass(frozen=True, slots=True)
class Split:
    """The samples of one split: what the likelihoods say, what the network is given, and the truth."""

    fitted: Fitted
    view: NDArray[np.float32]
    fractions: NDArray[np.float64]

    def samples(self, target: Callable[[Tensor], Tensor]) -> Samples:
        """As the trainer wants them; `target` makes of the view what a mix is compared with."""
        return Samples.of(self.fitted, self.view, self.fractions, target)


@dataclass(frozen=True, slots=True)
class Prepared:
    """The splits by name, and which technology (a deviation) each validation sample was measured by."""

    train: Split
    val: Split
    test: Split


def known_signature(reference: Reference, science: Science) -> Signature:
    """The signature that the likelihoods use."""
    plain = signature_of(reference)
    return replace(plain, content=science.content(plain))


def simulate(parts: Parts, config: RunConfig, science: Science) -> Prepared:
    """Pseudo-bulk samples of all splits; those to choose and to judge by are of cells that training does not see."""
    signature = known_signature(parts.train, science)
    val = [_split(part, signature, science) for part in _by_technologies(parts.validation, config)]
    test = mix(parts.test, config.n_test, config.n_cells, config.alpha, config.seed + 999)
    return Prepared(to_train_on(parts.train, config, science), _together(val), _split(test, signature, science))


def to_train_on(cells: Reference, config: RunConfig, science: Science) -> Split:
    """Samples that come from other cells than the signature they are fitted with, as real bulk does.

    The cells are divided anew `redraws` times, three quarters for the signature. Each time another technology measures
    the samples.
    """
    rng = np.random.default_rng(config.seed)
    pieces = []
    for redraw in range(config.redraws):
        known, mixed = divide(cells, (0.75, 0.25), config.seed + redraw)
        drawn = mix(mixed, config.n_train // config.redraws, config.n_cells, config.alpha, config.seed + redraw)
        seen = rescaled(drawn, rng.uniform(0, config.technology), config.seed + redraw)
        pieces.append(_split(seen, known_signature(known, science), science))
    return _together(pieces)


def technologies(config: RunConfig) -> tuple[float, float, float]:
    """Deviations by which the thirds of the validation samples are measured; the first is the reference's own."""
    return (0.0, config.technology / 2, config.technology)


def _by_technologies(reference: Reference, config: RunConfig) -> Iterator[Mixtures]:
    """A third of the samples each, in blocks whose cells are drawn anew from those there are.

    An estimate of a block is wrong in one direction because of which cells it got, and a new sample will have others.
    """
    for place, deviation in enumerate(technologies(config)):
        for block in range(BLOCKS):
            seed = config.seed + 123 + BLOCKS * place + block
            n_samples = config.n_val // 3 * (block + 1) // BLOCKS - config.n_val // 3 * block // BLOCKS
            drawn = mix(resampled(reference, seed), n_samples, config.n_cells, config.alpha, seed)
            yield rescaled(drawn, deviation, config.seed + place)


def _split(mixtures: Mixtures, signature: Signature, science: Science) -> Split:
    fitted = fit_all(composition(mixtures.counts), signature)
    return Split(fitted, science.bulk_view(mixtures.counts), science.labels(mixtures))


def _together(pieces: Sequence[Split]) -> Split:
    return Split(
        joined([piece.fitted for piece in pieces]),
        np.concatenate([piece.view for piece in pieces]),
        np.concatenate([piece.fractions for piece in pieces]),
    )


# ------------------------------------------------------------------------------------------------- files


def write(directory: Path, prepared: Prepared, reference: Reference, config: RunConfig) -> None:
    """Write the splits and, last, the manifest that vouches for them."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in SPLITS:
        split: Split = getattr(prepared, name)
        fitted = split.fitted
        np.save(directory / f"bulk_{name}.npy", split.view)
        np.save(directory / f"props_{name}.npy", split.fractions)
        np.save(directory / f"estimates_{name}.npy", fitted.estimates)
        np.save(directory / f"misfit_{name}.npy", fitted.misfit)
        np.save(directory / f"deviance_{name}.npy", fitted.deviance)
    write_whole(directory / "manifest.json", json.dumps(_manifest(directory, reference, config), indent=1).encode())


def _manifest(directory: Path, reference: Reference, config: RunConfig) -> dict[str, object]:
    return {
        "format": FORMAT,
        "target_sum": TARGET_SUM,
        "log1p": True,
        "genes": list(reference.genes),
        "types": list(reference.types),
        "files": {path.name: _digest(path) for path in sorted(directory.glob("*.npy"))},
        "options": {key: value for key, value in as_mapping(config).items() if key in SHAPES_DATA},
    }


def is_current(directory: Path, config: RunConfig) -> bool:
    """Whether files of exactly these options are there."""
    path = directory / "manifest.json"
    if not path.is_file():
        return False
    asked = {key: value for key, value in as_mapping(config).items() if key in SHAPES_DATA}
    return bool(json.loads(path.read_text(encoding="utf-8"))["options"] == asked)


def read(directory: Path, reference: Reference, science: Science) -> Prepared:
    """Read and validate what `write` wrote.

    Raises:
        Refused: a file is missing or another one than the manifest vouches for, genes or types are others than the
            reference's, or a value cannot be.
    """
    path = directory / "manifest.json"
    if not path.is_file():
        raise Refused(f"{directory} has no manifest.json: these samples are of unknown origin; simulate them again")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    _same_names(manifest, reference, path)
    for name, digest in manifest["files"].items():
        found = _digest(directory / name) if (directory / name).is_file() else "missing"
        if found != digest:
            raise Refused(
                f"{directory / name}: sha256 is {found[:12]}, the manifest says {digest[:12]}; simulate again"
            )
    return Prepared(*(_read_split(directory, name, reference, science) for name in SPLITS))


def _read_split(directory: Path, name: str, reference: Reference, science: Science) -> Split:
    view, fractions, estimates, misfit, deviance = (np.load(directory / f"{kind}_{name}.npy") for kind in ARRAYS)
    science.validated(directory / f"bulk_{name}.npy", view, fractions, reference)
    return Split(Fitted(estimates, misfit, deviance), view, fractions)


def _same_names(manifest: Mapping[str, Any], reference: Reference, path: Path) -> None:
    for kind, here in (("genes", reference.genes), ("types", reference.types)):
        there = tuple(manifest[kind])
        if there == here:
            continue
        if sorted(there) == sorted(here):
            place = next(i for i, (a, b) in enumerate(zip(there, here, strict=True)) if a != b)
            raise Refused(f"{path}: the {kind} stand in another order than the reference's, from {there[place]} on")
        strangers = sorted(set(there) ^ set(here))
        raise Refused(f"{path}: {len(strangers)} {kind} differ from the reference's, the first is {strangers[0]}")


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            digest.update(piece)
    return digest.hexdigest()
