"""Names of perturbations as numbers: the control is the zero vector, a combination is multi-hot."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenkeel_recipes.kit.refusal import Refused


@dataclass(frozen=True, slots=True, order=True)
class Treatment:
    """What was done to a cell: single perturbations in the order of their names, none for a control; and how much."""

    singles: tuple[str, ...]
    dose: float = 1.0

    @property
    def is_control(self) -> bool:
        """Whether nothing was done."""
        return not self.singles


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All names a model knows, in the order of its parameters."""

    genes: tuple[str, ...]
    perturbations: tuple[str, ...]
    batches: tuple[str, ...]
    cell_types: tuple[str, ...]
    control: str
    separator: str

    @property
    def sha256(self) -> str:
        """What tells two vocabularies apart, the order of their names included."""
        return hashlib.sha256(json.dumps(asdict(self)).encode()).hexdigest()

    def treatment(self, name: str, dose: float = 1.0) -> Treatment:
        """`A+B` as a treatment; the order of its parts does not count."""
        return parse(name, self.control, self.separator, dose)

    def name(self, treatment: Treatment) -> str:
        """The treatment as people write it."""
        dose = "" if treatment.dose == 1.0 or treatment.is_control else f" at {treatment.dose:g}"
        return (self.separator.join(treatment.singles) or self.control) + dose


def parse(name: str, control: str, separator: str, dose: float = 1.0) -> Treatment:
    """A name as a treatment; the control takes part in no combination (`A+control` is `A`)."""
    parts = {part.strip() for part in name.split(separator)} - {control, ""}
    return Treatment(tuple(sorted(parts)), dose if parts else 1.0)


def codes(treatments: Sequence[Treatment], vocabulary: Vocabulary) -> NDArray[np.float32]:
    """[treatments, perturbations]: the dose where a single perturbation takes part, else 0; the control is all 0.

    Raises:
        Refused: a perturbation that the vocabulary does not have.
    """
    place = {name: column for column, name in enumerate(vocabulary.perturbations)}
    table = np.zeros((len(treatments), len(place)), dtype=np.float32)
    for row, treatment in enumerate(treatments):
        for single in treatment.singles:
            if single not in place:
                raise Refused(unknown_perturbation(single, vocabulary.perturbations))
            table[row, place[single]] = treatment.dose
    return table


def unknown_perturbation(name: str, known: Iterable[str]) -> str:
    """Why nothing can be said about a perturbation that was never seen."""
    return (
        f"perturbation {name!r} was not among the training data: its code would be a column that was never trained; "
        f"known are {', '.join(known)}. To ask about new ones, train with --perturbation-features"
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """A treatment that is to be kept from training, in one cell type or in all (None)."""

    treatment: Treatment
    cell_type: str | None


def parse_holdouts(names: Sequence[str], vocabulary: Vocabulary) -> tuple[Wanted, ...]:
    """`A+B` or `A@type`, as `--holdout` takes them.

    Raises:
        Refused: the control, or a cell type that there is not.
    """
    wanted = []
    for text in names:
        name, found, kind = text.rpartition("@")
        treatment = vocabulary.treatment(name if found else kind)
        if treatment.is_control:
            raise Refused(f"--holdout {text}: the control cannot be held out; effects are measured against it")
        if found and kind not in vocabulary.cell_types:
            raise Refused(
                f"--holdout {text}: there is no cell type {kind!r}; there are {', '.join(vocabulary.cell_types)}"
            )
        wanted.append(Wanted(treatment, kind if found else None))
    return tuple(wanted)


def vocabulary_of(facts: Any) -> Vocabulary:  # noqa: ANN401  what JSON held
    """A vocabulary as JSON holds it."""
    names: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in facts.items()}
    return Vocabulary(**names)
