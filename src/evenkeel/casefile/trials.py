"""How the things that were tried on a bad step went, and what that says of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from evenkeel.casefile.incident import advice_of
from evenkeel.core.attempt import AttemptResult
from evenkeel.core.case import Case
from evenkeel.core.cause import Cause
from evenkeel.core.edit import Edit
from evenkeel.core.incident import Advice, Experiment, Incident
from evenkeel.core.patch import ProofResult
from evenkeel.diagnose.rank import explain
from evenkeel.experiment.change import Change
from evenkeel.experiment.earlier_snapshot import NAME as EARLIER_SNAPSHOT
from evenkeel.experiment.filled_memory import FilledMemory
from evenkeel.experiment.unchanged import Unchanged
from evenkeel.experiment.without_samples import NAME as WITHOUT_SAMPLES


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """A change that was tried, and how it went."""

    experiment: Experiment
    remedy: str  # what to do, where that made the step healthy; "" where it says nothing of a remedy
    edits: tuple[Edit, ...]  # what would make the same change in the user's own text
    proof: str  # what is known where it was healthy

    @classmethod
    def of(cls, change: Change, experiment: Experiment, num_steps: int) -> Trial:
        """What is to be remembered of a change that was tried on the step itself, which came so often."""
        loss = "" if experiment.loss is None else f", its loss {experiment.loss:.6g}"
        then = "the step after its update" if num_steps > 1 else "its update"
        proof = f"the failing step repeated with {experiment.changed}: finite{loss}, and so is {then}"
        return cls(experiment=experiment, remedy=change.remedy, edits=change.edits, proof=proof)

    @classmethod
    def of_run(cls, result: AttemptResult) -> Trial:
        """What is to be remembered of a change that was tried on a run from the start."""
        losses = [loss for loss in result.proof.losses if loss is not None]
        experiment = Experiment(
            name=result.name, changed=result.changed, healthy=result.healthy, loss=losses[0] if losses else None
        )
        proof = f"the program run again with {result.changed}: {_finite(result.proof, losses)}"
        return cls(experiment=experiment, remedy=result.remedy, edits=result.edits, proof=proof)

    @property
    def is_remedy(self) -> bool:
        """Whether it was enough, and tells what to do."""
        return self.experiment.healthy and bool(self.remedy)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of the changes that were to be tried in the loop itself."""

    trials: tuple[Trial, ...] = ()
    met: frozenset[str] = frozenset()  # names of all that the step was repeated with, whether they took effect or not
    left: frozenset[str] = frozenset()  # names of those for which the step did not come any more


def with_trials(incident: Incident, trials: Sequence[Trial]) -> Incident:
    """The incident with what was learnt: the smallest change that was enough becomes the first advice."""
    if not trials:
        return incident
    case = _with_repeats(_with_samples(incident.case, trials), trials)
    causes = incident.causes if case.repeats == incident.case.repeats else explain(case)
    learnt = [_advice(trial) for trial in trials if trial.is_remedy]
    return replace(
        incident,
        case=case,
        causes=tuple(_with_drift(cause, trials) for cause in causes),
        experiments=(*incident.experiments, *(trial.experiment for trial in trials)),
        advice=(*learnt[:1], *(incident.advice if causes is incident.causes else advice_of(causes))),
    )


def _finite(proof: ProofResult, losses: Sequence[float]) -> str:
    """Which steps were, and how far their losses went."""
    if proof.first == proof.last:
        return f"step {proof.first} is finite" + (f", its loss {losses[0]:.6g}" if losses else "")
    ends = f", with losses from {losses[0]:.6g} to {losses[-1]:.6g}" if losses else ""
    return f"steps {proof.first} to {proof.last} are finite{ends}"


def _with_drift(cause: Cause, trials: Sequence[Trial]) -> Cause:
    """A step that is finite from an earlier state speaks for a training that ran away, and for nothing else.

    A state may as well have come slowly to the edge of an operation; then that is at fault.
    """
    if cause.family != "dynamics":
        return cause
    drifts = [t.proof for t in trials if t.experiment.name == EARLIER_SNAPSHOT and t.experiment.healthy]
    return replace(cause, evidence=(*cause.evidence, *drifts))


def _with_samples(case: Case, trials: Sequence[Trial]) -> Case:
    """Whether the suspected samples are the right ones."""
    verdicts = [trial.experiment.healthy for trial in trials if trial.experiment.name == WITHOUT_SAMPLES]
    if case.origin is None or not verdicts:
        return case
    return replace(case, origin=replace(case.origin, samples_verified=verdicts[-1]))


def _with_repeats(case: Case, trials: Sequence[Trial]) -> Case:
    """How often the step failed when nothing was changed, and whether it reads what nobody wrote."""
    repeats = tuple(not trial.experiment.healthy for trial in trials if trial.experiment.name == Unchanged.name)
    filled = [not trial.experiment.healthy for trial in trials if trial.experiment.name == FilledMemory.name]
    return replace(case, repeats=repeats, fails_when_filled=filled[-1]) if repeats and filled else case


def _advice(trial: Trial) -> Advice:
    return Advice(text=f"{trial.remedy[:1].upper()}{trial.remedy[1:]}.", verified_by=trial.proof)
