"""Try a change on the program run again from its start, where its own loop cannot repeat the step often enough."""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

from evenkeel.casefile.changes import attempts
from evenkeel.core.attempt import AttemptResult
from evenkeel.core.incident import Incident
from evenkeel.core.patch import ProofResult
from evenkeel.experiment.change import Change
from evenkeel.experiment.stable_form import FormSearch
from evenkeel.journal.plain import from_plain, to_plain
from evenkeel.report.as_json import from_json, to_json
from evenkeel.rerun.child import LOG, Children, place, plan_in
from evenkeel.rerun.proof import RESULT, Proof, run_under


def attempted(children: Children, incident: Incident, position: int) -> AttemptResult | str | None:
    """Run the program once more, with one of `casefile.changes.attempts` in force.

    Returns: what came of it; None when the run did not come to what is changed; a sentence when it is not known.
    """
    step = incident.case.step
    directory = children.new_directory(f"{step}-tried-{position}")
    plan = {"position": position, "incident": to_json(incident)}
    obstacle = children.run("evenkeel.rerun.attempt", directory, step, plan)
    if obstacle is not None:
        return obstacle
    written = directory / RESULT
    if not written.exists():
        return f"the program did not bear it; see {directory / LOG}"
    result = json.loads(written.read_text())
    return None if result is None else from_plain(AttemptResult, result, "result")


def main(directory: Path) -> int:
    """In the child: carry out `directory/plan.json`, and leave the result. Returns: the program's exit status."""
    plan = plan_in(directory)
    attempt = next(islice(attempts(from_json(plan["incident"])), plan["position"], None))
    change, due = attempt.change, dict(attempt.before)
    with ExitStack() as in_force:
        if attempt.begins:
            due[attempt.begins] = lambda: in_force.enter_context(change.during())
        else:
            in_force.enter_context(change.during())
        proof = Proof(attempt.judged, due)
        status = run_under(proof, plan)
    if proof.is_over or not status:
        place(directory / RESULT, json.dumps(to_plain(_result(change, proof.result))))
    return status


def _result(change: Change, proof: ProofResult) -> AttemptResult | None:
    """None where the run did not come to what is changed."""
    if isinstance(change, FormSearch):
        return _told(change, proof, tuple(form.name for form in change.found))
    return _told(change, proof) if change.took_effect else None


def _told(change: Change, proof: ProofResult, found: tuple[str, ...] = ()) -> AttemptResult:
    return AttemptResult(
        name=change.name, changed=change.changed, remedy=change.remedy, edits=change.edits, proof=proof, found=found
    )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
