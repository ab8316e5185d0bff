"""All stable forms. What comes first is tried first: the closest to what the user wrote, general conventions last."""

from __future__ import annotations

from evenkeel.experiment.forms import (
    angles,
    bounds,
    division,
    empties,
    exponentials,
    log_domain,
    logarithms,
    probabilities,
    products,
    roots,
    rotations,
    rows,
    shares,
    unused,
)
from evenkeel.experiment.forms.form import Form

FORMS: tuple[Form, ...] = (
    *probabilities.FORMS,
    *logarithms.FORMS,
    *exponentials.FORMS,
    *shares.FORMS,
    *log_domain.FORMS,
    *rotations.FORMS,
    *bounds.FORMS,
    *products.FORMS,
    *rows.FORMS,
    *empties.FORMS,
    *angles.FORMS,
    *division.FORMS,
    *unused.FORMS,
    *roots.FORMS,
)
