"""What to try on a bad step, the smallest change first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch

from evenkeel.casefile.scene import Replay, Scene
from evenkeel.core.case import Case
from evenkeel.core.cause import Cause, Family
from evenkeel.core.incident import Incident
from evenkeel.core.operation import Operation
from evenkeel.core.place import Place
from evenkeel.experiment.change import Change
from evenkeel.experiment.clipped_gradients import ClippedGradients
from evenkeel.experiment.eager import Eager
from evenkeel.experiment.earlier_snapshot import EarlierSnapshot
from evenkeel.experiment.filled_memory import FilledMemory
from evenkeel.experiment.initialised import Initialised, InitialisedAtStart
from evenkeel.experiment.left_out import LeftOut
from evenkeel.experiment.precision import in_float32, in_float64
from evenkeel.experiment.smaller_step import SmallerStep
from evenkeel.experiment.stable_form import born_in, search_of
from evenkeel.experiment.unchanged import Unchanged
from evenkeel.experiment.wide_origin import OriginInFloat64
from evenkeel.experiment.without_samples import WithoutSamples
from evenkeel.experiment.without_term import WithoutTerm
from evenkeel.locate.entrance import entered
from evenkeel.locate.record import storage_of
from evenkeel.locate.source import running_line
from evenkeel.step.updater import ByHand, parameters_of

# Asked for one at a time: what comes next may depend on how the one before went.
Changes = Callable[[Incident | None, Replay, Scene], Iterable[Change]]

_REPEATS = 3  # of a step that did not fail again
_FACTORS = (0.1, 0.01, 0.001)  # of the learning rate
_NORMS = (1.0, 0.1)  # of clipped gradients
_NOT_OF_FORMAT = frozenset({"dynamics", "data", "state"})  # families
_FARTHEST_BACK = 10  # updates; half of those that there were, where they are fewer than twice as many
_MOST_TERMS = 2  # that are left out, one at a time
_HALVES = frozenset({"float16", "bfloat16"})


def no_changes(_incident: Incident | None, _replay: Replay, _scene: Scene) -> Iterable[Change]:
    """Nothing is tried."""
    return ()


def gentle_changes(incident: Incident | None, replay: Replay, scene: Scene) -> Iterator[Change]:
    """What every program bears: it meets the formats, shapes and numbers of batches that it is used to."""
    if incident is None or not replay.reproduced or replay.only_compiled:
        return
    if not _is_by_hand(scene):
        yield from _stable_forms(incident.case)
    samples = _without_samples(incident, replay, scene)
    if samples is not None:
        yield samples
    initialised = _initialised(scene)
    if initialised is not None:
        yield initialised


def all_changes(incident: Incident | None, replay: Replay, scene: Scene) -> Iterator[Change]:
    """Everything that may tell something of this step."""
    if incident is None or replay.observed is None:
        return
    if replay.only_compiled:
        yield Eager()
    elif replay.reproduced:
        yield from gentle_changes(incident, replay, scene)
        if not _is_by_hand(scene):
            yield from _in_other_formats(incident, scene)
            yield from _without_terms(incident.case, replay)
    elif not incident.case.reproduced:  # not in another process either: it comes and goes
        yield from (Unchanged() for _ in range(_REPEATS))
        yield FilledMemory()


# A search tells which forms fit. Of each kind the first that is healthy is enough.
Kind = Literal["search", "form", "start", "rate", "norm", "format", "skip", "state"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A change of a run that is made again from its start."""

    change: Change
    begins: int  # the step from which on it is in force; 0: from the start
    judged: range  # the steps that have to be healthy
    kind: Kind
    before: Mapping[int, Callable[[], object]] = field(default_factory=dict)  # what it needs called before other steps


def attempts(incident: Incident) -> Iterator[Attempt]:
    """What can be tried on a program that runs again from its start, the likeliest first."""
    case, step, family = incident.case, incident.case.step, _family(incident)
    here = range(step, step + 2)
    search = search_of(case, _line)
    if search is not None:
        yield Attempt(search, step, here, "search")
        yield from (Attempt(form, step, here, "form") for form in search.candidates)
    if step == 0:
        yield Attempt(InitialisedAtStart(), 0, here, "start")
    yield from (Attempt(change, step, here, "format") for change in _in_wider_formats(incident))
    if family == "precision":
        yield Attempt(LeftOut(), step, range(step + 1, step + 2), "skip")
    if step and case.reproduced and not _is_of_samples(case):
        yield _from_earlier(step)
    if family == "dynamics":
        yield from _calmer(step, incident.causes[0])


def _from_earlier(step: int) -> Attempt:
    """Evidence, so that it answers nothing: what would be tried without it is tried after it.

    The step is judged alone: where a training runs away, the one after it may fail by itself.
    """
    back = min(_FARTHEST_BACK, max(step // 2, 1))
    change = EarlierSnapshot(back)
    return Attempt(change, step, range(step, step + 1), "state", {step - back: change.keep})


def _calmer(step: int, cause: Cause) -> tuple[Attempt, ...]:
    """What calms a run that went out of hand, judged over twice the distance: it may only take longer to fail."""
    long = range(2 * step + 8)
    smaller = [Attempt(SmallerStep(factor), 0, long, "rate") for factor in _FACTORS]
    clipped = [Attempt(ClippedGradients(norm), 0, long, "norm") for norm in _NORMS]
    return (*clipped, *smaller) if cause.name == "recurrent_growth" else (*smaller, *clipped)


def _is_of_samples(case: Case) -> bool:
    """Whether other rows of the batch in the place of some made the step healthy."""
    return case.origin is not None and case.origin.samples_verified is True


def _is_by_hand(scene: Scene) -> bool:
    """There a trial ends inside `loss.backward()`, where no mode of torch can be left."""
    return any(isinstance(updater, ByHand) for updater in scene.updaters)


def _stable_forms(case: Case) -> Iterator[Change]:
    search = search_of(case, _line)
    if search is not None:
        yield search
        yield from search.found


def _line() -> Place | None:
    return running_line().place


def _family(incident: Incident) -> Family | None:
    return incident.causes[0].family if incident.causes else None


def _in_other_formats(incident: Incident, scene: Scene) -> Iterator[Change]:
    """The origin alone, then the step; in single precision the origin says enough.

    Between the steps of a loop that is given no batches, nothing tells when a change of the whole step has to end.
    """
    alone = tuple(origin_alone(incident))
    yield from alone
    if scene.hand_outs and (not alone or _formats_of(incident.case) & _HALVES):
        yield from _in_wider_formats(incident)


def _in_wider_formats(incident: Incident) -> Iterator[Change]:
    """Where numbers that grow or bad data are to blame, more room only hides that."""
    if _family(incident) in _NOT_OF_FORMAT:
        return
    formats = _formats_of(incident.case)
    if formats & _HALVES:
        yield in_float32()
    elif formats - {"float64"}:
        yield in_float64()


def origin_alone(incident: Incident) -> Iterator[Change]:
    """The one operation in float64, where a line of the user is known for it and its format may be to blame."""
    operation = born_in(incident.case)
    if operation is not None and operation.place is not None and _family(incident) not in _NOT_OF_FORMAT:
        yield OriginInFloat64(operation, operation.place, _line)


def _without_samples(incident: Incident, replay: Replay, scene: Scene) -> WithoutSamples | None:
    """Leave the suspected samples out; None where no single ones are suspected."""
    origin = incident.case.origin
    if origin is None or origin.num_samples is None or not scene.used or replay.observed is None:
        return None
    if origin.micro_batch is None and len(scene.used) > 1:
        return None
    suspects = scene.used[origin.micro_batch or 0]
    storages = entered(replay.observed.trace.records, origin.operation.index)
    concerned = {id(tensor) for _, tensor in suspects.tensors("") if storage_of(tensor) in storages}
    return WithoutSamples.of(suspects, origin.samples, origin.num_samples, concerned)


def _without_terms(case: Case, replay: Replay) -> Iterator[WithoutTerm]:
    """Leave out, one by one, the terms that carry what is bad, where others are healthy."""
    bad = [term.name for term in case.terms if not term.is_healthy]
    if replay.observed is None or len(bad) == len(case.terms):
        return
    found = replay.observed.summands.found
    num_backwards = len({summand.backward for summand in found})
    for backward in range(num_backwards):
        terms = [summand.name for summand in found if summand.backward == backward]
        for position, name in enumerate(terms):
            if name in bad[:_MOST_TERMS] and len(terms) > 1:
                yield WithoutTerm(name, position, backward=backward, num_backwards=num_backwards)


def _initialised(scene: Scene) -> Initialised | None:
    """Only before the first update: later, parameters are what the training made of them."""
    if scene.step:
        return None
    parameters = {id(p): p for updater in scene.updaters for p in parameters_of(updater)}
    return Initialised.of([(scene.names.of_tensor(p) or "a parameter", p) for p in parameters.values()])


def _formats_of(case: Case) -> set[str]:
    """The floating-point formats that the origin and what fed it computed in."""
    origin = case.origin
    operations: list[Operation] = list(case.upstream) if origin is None else [origin.operation, *case.upstream]
    return {stats.dtype for o in operations for stats in (*o.inputs, *o.outputs) if _is_float(stats.dtype)}


def _is_float(dtype: str) -> bool:
    return isinstance(found := getattr(torch, dtype, None), torch.dtype) and found.is_floating_point
