"""Find the causes: every module under causes/ is one."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from evenkeel.diagnose import causes
from evenkeel.diagnose.rule import CauseRule


@cache
def catalogue() -> tuple[CauseRule, ...]:
    """Every cause, sorted by code."""
    names = [module.name for module in pkgutil.iter_modules(causes.__path__)]
    return tuple(sorted((_load(name) for name in names), key=lambda rule: rule.code))


def _load(name: str) -> CauseRule:
    """The cause that a module defines."""
    module = importlib.import_module(f"{causes.__name__}.{name}")
    return CauseRule(
        code=module.CODE,
        name=name,
        family=module.FAMILY,
        judge=module.judge,
        page=(module.__doc__ or "").strip(),
    )
