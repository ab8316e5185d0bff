"""Why a value is bad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Family = Literal[
    "domain",
    "range",
    "gradient_singularity",
    "reduction",
    "data",
    "dynamics",
    "precision",
    "distributed",
    "masking",
    "state",
    "hardware",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One explanation with the evidence that speaks for it."""

    name: str  # the file's name, "log_of_nonpositive"; `class` in incident.json
    code: str  # "EK201"
    family: Family
    text: str  # one or two sentences with the numbers in them
    evidence: tuple[str, ...]
    confidence: float  # 0 to 1; how much better than the next-best explanation it fits
    advice: str
