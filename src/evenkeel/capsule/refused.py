"""Why a capsule is not opened."""

from __future__ import annotations

from evenkeel.core.errors import UsageError


class CapsuleRefused(UsageError):
    """The capsule is damaged, is of another version, or says what no capsule of ours would; nothing of it is used."""
