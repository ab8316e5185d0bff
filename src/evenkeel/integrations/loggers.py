"""Incidents in TensorBoard, Weights & Biases and MLflow, through what the program logs to already.

Each is given the program's own writer or run, so nothing is started, named or closed here, and this file imports none
of the three. For `Guard`, `supervise` and the callbacks: `loggers=[TensorBoard(writer)]`. Extra: `loggers`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evenkeel.core.incident import Incident
from evenkeel.report import summary

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from torch.utils.tensorboard import SummaryWriter
    from wandb import Run

TAG = "evenkeel/incident"


class TensorBoard:
    """The headline, the place, the cause and the path of the report as text of the step, and a mark on the time axis.

    Args:
        writer: the `SummaryWriter` of the program.
    """

    def __init__(self, writer: SummaryWriter) -> None:
        self._writer = writer

    def incident(self, incident: Incident) -> None:
        """Write and flush, because the process may end next."""
        step = incident.case.step
        self._writer.add_text(TAG, "  \n".join(sentences(incident)), step)
        self._writer.add_scalar("evenkeel/bad_step", 1.0, step)
        self._writer.flush()


class WandB:
    """The report among the files of the run, an alert, and step and cause in the run's summary.

    Args:
        run: what `wandb.init` returned.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def incident(self, incident: Incident) -> None:
        """Copy the report now, because the process may end next."""
        headline, *rest = sentences(incident)
        if incident.report is not None:
            self._run.save(incident.report, base_path=str(Path(incident.report).parent), policy="now")
        self._run.summary["evenkeel/step"] = incident.case.step
        self._run.summary["evenkeel/cause"] = incident.causes[0].name if incident.causes else None
        self._run.alert(title=headline, text="\n".join(rest))


class MLflow:
    """The report and `incident.json` as artifacts of the run, and the headline and cause as tags.

    Args:
        client: an `MlflowClient` of the tracking server that the program logs to.
        run_id: of the program's run, `mlflow.active_run().info.run_id`.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id

    def incident(self, incident: Incident) -> None:
        """Upload what was written."""
        headline, *_ = sentences(incident)
        self._client.set_tag(self._run_id, "evenkeel.incident", headline)
        self._client.set_tag(self._run_id, "evenkeel.cause", incident.causes[0].name if incident.causes else "")
        if incident.report is not None:
            directory = Path(incident.report).parent
            for path in (Path(incident.report), directory / "incident.json"):
                self._client.log_artifact(self._run_id, str(path), f"evenkeel/step-{incident.case.step}")


def sentences(incident: Incident) -> list[str]:
    """The headline; then where, why and what to do, as far as they are known; last the path of the report."""
    origin = incident.case.origin
    known = [
        summary.headline(incident),
        "" if origin is None or origin.operation.place is None else f"where: {origin.operation.place}",
        incident.causes[0].text if incident.causes else "",
        *(advice.text for advice in summary.advice(incident)[:1]),
        f"report: {incident.report}" if incident.report else "",
    ]
    return [sentence for sentence in known if sentence]
