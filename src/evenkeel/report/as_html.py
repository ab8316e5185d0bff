"""The report as one web page."""

from __future__ import annotations

import functools

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from evenkeel.core.incident import Incident
from evenkeel.core.words import extent, nonfinite, number
from evenkeel.report import summary, words
from evenkeel.report.history import HEIGHT, WIDTH, History, history
from evenkeel.report.source import excerpt

TEMPLATE = "incident.html.j2"


def render(incident: Incident) -> str:
    """The page of `incident`: one file, without scripts, nothing loaded from elsewhere."""
    return _template().render(
        incident=incident,
        case=incident.case,
        origin=incident.case.origin,
        losses=losses(incident),
        weight_peaks=_of_last_steps(incident.case.weight_peaks, None),
        chart_width=WIDTH,
        chart_height=HEIGHT,
        summary=summary,
        words=words,
        number=number,
        extent=extent,
        nonfinite=nonfinite,
        excerpt=excerpt,
    )


def losses(incident: Incident) -> History | None:
    """The losses of the last steps, with the failing one at the end when its loss is the symptom."""
    case = incident.case
    if case.symptom.value is None:
        return _of_last_steps(case.losses, case.step - 1)
    return _of_last_steps((*case.losses, case.symptom.value), case.step)


def _of_last_steps(values: tuple[float, ...], last_step: int | None) -> History | None:
    return history(values, last_step=last_step) if values else None


@functools.cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("evenkeel.report"),
        autoescape=True,  # names, source lines and messages are other people's text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE)
