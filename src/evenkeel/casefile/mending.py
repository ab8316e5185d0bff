"""A patch of the user's own lines as advice: offered when the patched program has proved itself, and only then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evenkeel import patch
from evenkeel.core.case import Case
from evenkeel.core.edit import Edit
from evenkeel.core.incident import Advice, Experiment, Incident
from evenkeel.core.patch import PatchedFile, ProofResult
from evenkeel.core.words import number

Prove = Callable[[Sequence[PatchedFile], int], ProofResult | str]  # files and failing step; or why it was not done

_MOST_WORDS = 120  # letters of an expression in a sentence; the diff has it whole


def with_diff(
    incident: Incident, edits: Sequence[Edit], experiment_name: str, prove: Prove, *, directory: Path
) -> Incident:
    """Put the patch first that does to the user's text what an experiment did to the step.

    Args:
        incident: after its experiments.
        edits: those of the experiment that kept the step healthy; without any, nothing changes.
        experiment_name: which one it was.
        prove: runs the patched program from its start to the step after the failing one.
        directory: where the program was started; the diff's paths are relative to it.

    Returns: the incident with a new first advice. Its diff is None where no patch could be made or none has proved
    itself; the text says why. An advice that is in first place because of the same experiment is taken up in it.

    Cost: a run of the program up to the step after the failing one.
    """
    if not edits:
        return incident
    tried = next((e for e in reversed(incident.experiments) if e.name == experiment_name), None)
    known = incident.advice[0] if incident.advice and _is_of(incident.advice[0], tried) else None
    proved = _proved(edits, incident.case.step, prove)
    advice = (
        _without_patch(proved, tried, known)
        if isinstance(proved, str)
        else _with_patch(proved, incident.case, directory, known)
    )
    return replace(incident, advice=(advice, *incident.advice[0 if known is None else 1 :]))


@dataclass(frozen=True, slots=True)
class _Proved:
    """A patch, and how the program fared with it."""

    files: tuple[PatchedFile, ...]
    proof: ProofResult


def _proved(edits: Sequence[Edit], step: int, prove: Prove) -> _Proved | str:
    """The patch with its proof, or why there is none."""
    files = patch.patched_files(edits)
    if isinstance(files, patch.Refusal):
        return files.why
    proof = prove(files, step)
    failure = proof if isinstance(proof, str) else _failure(proof)
    if isinstance(proof, str) or failure is not None:
        return f"the patch did not prove itself: {failure}"
    return _Proved(files, proof)


def _with_patch(proved: _Proved, case: Case, directory: Path, known: Advice | None) -> Advice:
    opening = "" if known is None else f"{known.text} "
    root = patch.root_of(proved.files, directory)
    elsewhere = "" if root == directory.resolve() else f" The paths of the patch begin in {root}."
    return Advice(
        text=f"{opening}{_change(proved.files)}: with this patch {_measured(proved.proof, case)}.{elsewhere}",
        verified_by=f"the patched program, run from its start to {_reached(proved.proof)}",
        diff=patch.diff_of(proved.files, directory),
    )


def _without_patch(why: str, tried: Experiment | None, known: Advice | None) -> Advice:
    if known is not None:
        return replace(known, text=f"{known.text} No patch is offered: {why}.")
    if tried is None:
        return Advice(text=f"No patch is offered: {why}.")
    loss = "" if tried.loss is None else f", its loss {number(tried.loss)}"
    return Advice(
        text=f"Repeated with {tried.changed} the step is healthy{loss}. No patch is offered: {why}.",
        verified_by=f"the failing step repeated with {tried.changed}",
    )


def _failure(proof: ProofResult) -> str | None:
    """Why a proof does not count."""
    if proof.symptom is not None:
        kind, name = proof.symptom.kind, proof.symptom.name
        bad = kind if kind == "loss" else f"{kind} of {name}" if kind == "gradient" else f"{kind} {name}"
        return f"in step {proof.last + 1} the {bad} was not finite"
    return None if proof.losses else f"the patched program ended before step {proof.first}"


def _change(files: Sequence[PatchedFile]) -> str:
    told = [
        f"replace {_short(r.before)} by {_short(r.after)} in {Path(file.file).name}, line {r.line}"
        for file in files
        for r in file.rewrites
    ]
    text = "; ".join(told)
    return text[:1].upper() + text[1:]


def _measured(proof: ProofResult, case: Case) -> str:
    """What the judged steps gave; and of the step before them what shows whether the patch computes the same."""
    losses = [number(loss) for loss in proof.losses if loss is not None]
    told = f", loss {', then '.join(losses)}" if losses else ""
    if proof.first == proof.last:
        told = f"step {proof.first} is finite{told}; the program ended after it"
    else:
        told = f"steps {proof.first} and {proof.last} are finite{told}"
    if proof.loss_before is None or not case.losses:
        return told
    before, unpatched = number(proof.loss_before), number(case.losses[-1])
    return f"{told}; the loss of step {proof.first - 1} is {before}, and was {unpatched} without it"


def _reached(proof: ProofResult) -> str:
    return f"step {proof.last}" + (", its last" if proof.ended else "")


def _short(text: str) -> str:
    return f"`{text}`" if len(text) <= _MOST_WORDS else f"`{text[:_MOST_WORDS]}…`"


def _is_of(advice: Advice, experiment: Experiment | None) -> bool:
    return experiment is not None and advice.verified_by is not None and experiment.changed in advice.verified_by
