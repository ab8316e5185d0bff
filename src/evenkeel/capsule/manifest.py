"""The first file of a capsule: what it holds, what it left out and why, and how the step comes again from it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from evenkeel.capsule.refused import CapsuleRefused
from evenkeel.core.case import SymptomKind
from evenkeel.core.errors import UsageError
from evenkeel.core.fingerprint import Fingerprint
from evenkeel.journal.plain import expect, from_plain, to_plain

SCHEMA = 1
Begin = Literal["state", "start"]  # the state goes into a step of the program, or the program runs from its start


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """Something that the capsule does not hold."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file beside the manifest."""

    name: str
    num_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Which program it was, and in which state of its text."""

    target: str  # as typed: the path of the script, or the module's name
    as_module: bool
    arguments: tuple[str, ...]
    cwd: str
    file: str | None  # absolute path of its text; None when there was no file
    sha256: str | None  # of that text
    git_commit: str | None = None
    git_is_dirty: bool | None = None
    git_why_not: str = ""  # why there is no commit

    @property
    def command(self) -> str:
        """The program with its arguments, as typed."""
        head = ("-m", self.target) if self.as_module else (self.target,)
        return " ".join((*head, *self.arguments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The symptom, and the fingerprint by which a replay is judged."""

    step: int  # 0-based count of updates when it was seen
    kind: SymptomKind
    names: tuple[str, ...]
    fingerprint: Fingerprint  # of losses and gradients; of the losses alone in a glimpse
    is_glimpse: bool  # only the losses were kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a capsule says of itself."""

    begin: Begin
    why: str  # it begins there
    program: Program
    seen: Seen
    step: int  # in which the bad value was born
    rank: int
    world_size: int
    environment: tuple[tuple[str, str], ...]  # versions, flags and settings that decide about bits
    num_threads: int
    updater: int  # which one's update was about to be made: the n-th to have made one
    num_updates_before: int  # made by the same iteration of the loop before that one
    random_is_current: bool  # the random states of the step's beginning count, not only those of its batches
    cleared_to: Literal["none", "zero"]
    files: tuple[StoredFile, ...] = ()
    missing: tuple[Missing, ...] = ()

    @property
    def num_bytes(self) -> int:
        """The size of all files but the manifest."""
        return sum(file.num_bytes for file in self.files)


def to_text(manifest: Manifest) -> str:
    """The manifest as the text of its file."""
    return json.dumps({"schema": SCHEMA, **to_plain(manifest)}, indent=2, allow_nan=False) + "\n"


def from_text(text: str) -> Manifest:
    """The manifest that `to_text` wrote.

    Raises:
        CapsuleRefused: the text is no JSON, is of another schema, lacks a field, or has a value of a wrong type.
    """
    plain = parsed(text, "manifest.json")
    try:
        return _manifest(plain)
    except UsageError as error:
        raise CapsuleRefused(str(error)) from error


def _manifest(plain: object) -> Manifest:
    given = expect(dict, plain, "manifest")
    if given.get("schema") != SCHEMA:
        raise CapsuleRefused(
            f"manifest.schema is {given.get('schema')!r}; this evenkeel reads {SCHEMA}: "
            "use the version of evenkeel that wrote the capsule"
        )
    return from_plain(Manifest, given, "manifest")


def parsed(text: str, name: str) -> object:
    """The JSON value of a file.

    Raises:
        CapsuleRefused: it is none, or is nested so deep that it cannot be meant.
    """
    try:
        value: object = json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise CapsuleRefused(f"{name} is no JSON of ours: {error}") from error
    return value


def _not_json(word: str) -> object:
    raise ValueError(f"{word} is no JSON")
