"""The program of a capsule as it lies here, and how this place differs from the one where the capsule was made."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder
from pathlib import Path

from evenkeel.capsule.manifest import Manifest, Program
from evenkeel.capsule.surroundings import environment
from evenkeel.core.errors import UsageError
from evenkeel.core.incident import Incident
from evenkeel.core.settings import ReplaySettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramHere:
    """What is run."""

    target: str
    as_module: bool
    arguments: tuple[str, ...]
    cwd: Path
    text: Path | None  # the file of its text, where it is known beforehand

    @property
    def command(self) -> str:
        """As it would be typed."""
        return " ".join(("python", *(("-m",) if self.as_module else ()), self.target, *self.arguments))


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that is not here as it was there."""

    what: str
    there: str
    here: str


def program_here(program: Program, settings: ReplaySettings) -> ProgramHere:
    """Find the program in the directory where it ran, or in the present one.

    A capsule may come from anybody, and what it names is run. So what it names has to be a program of the user's own: a
    script outside of the capsule, or a module of that directory, and nothing that is installed. Anything else has to
    be named by the user, with --program.

    Raises:
        UsageError: there is no such program.
    """
    recorded = Path(program.cwd)
    cwd = recorded if recorded.is_dir() else Path.cwd()
    named = settings.program
    if program.as_module:
        target = named or program.target
        text = None if named else _module(target, cwd)
    else:
        target = str(Path(named).absolute()) if named else program.target
        text = _script(target, (cwd, Path.cwd()), settings, is_named=named is not None)
        target = target if cwd / target == text else str(text)
    return ProgramHere(target=target, as_module=program.as_module, arguments=program.arguments, cwd=cwd, text=text)


def at_home(incident: Incident, there: Program, here: ProgramHere) -> Incident:
    """The incident with its origin in the file that runs here, where that lies elsewhere than it did."""
    origin = incident.case.origin
    place = None if origin is None else origin.operation.place
    if origin is None or place is None:
        return incident
    moved = replace(place, file=str(_moved(Path(place.file), there, here)))
    origin = replace(origin, operation=replace(origin.operation, place=moved))
    return replace(incident, case=replace(incident.case, origin=origin))


def _moved(file: Path, there: Program, here: ProgramHere) -> Path:
    """The program's text itself, or the same file beside it or in its directory."""
    if here.text is not None and there.file == str(file):
        return here.text
    roots = [(Path(there.cwd), here.cwd)]
    if there.file is not None and here.text is not None:
        roots.insert(0, (Path(there.file).parent, here.text.parent))
    found = [new / file.relative_to(old) for old, new in roots if file.is_relative_to(old)]
    return next((path for path in found if path.is_file()), file)


def differences(manifest: Manifest, program: ProgramHere) -> list[Difference]:
    """Versions, flags, settings and text that are not the same."""
    there, here = dict(manifest.environment), dict(environment())
    found = [
        Difference(what=name, there=there.get(name, "not recorded"), here=here.get(name, "not asked"))
        for name in {**there, **here}
        if there.get(name) != here.get(name)
    ]
    was = manifest.program.sha256
    now = hashlib.sha256(program.text.read_bytes()).hexdigest() if program.text is not None else None
    if was and now and was != now:
        commit = manifest.program.git_commit
        at = f" (at commit {commit[:12]}{', changed' if manifest.program.git_is_dirty else ''})" if commit else ""
        found.append(
            Difference(what="text of the program", there=f"SHA-256 {was[:12]}{at}", here=f"SHA-256 {now[:12]}")
        )
    return found


def _script(target: str, directories: tuple[Path, ...], settings: ReplaySettings, *, is_named: bool) -> Path:
    found = next((d / target for d in directories if (d / target).is_file()), None)
    if found is None:
        where = " and ".join(dict.fromkeys(map(str, directories)))
        raise UsageError(f"there is no script {target} in {where}; say where it lies with --program")
    real = found.resolve()
    foreign = [settings.capsule.resolve(), *map(Path, _installed())]
    if not is_named and any(real.is_relative_to(place) for place in foreign):
        raise UsageError(
            f"the capsule names {found}, which is no program of yours; to run it all the same, add --program {found}"
        )
    return found


def _module(name: str, cwd: Path) -> Path | None:
    top = name.partition(".")[0]
    if not top or PathFinder.find_spec(top, [str(cwd)]) is None:
        raise UsageError(
            f"the capsule names the module {name}, which is none of {cwd}; start in the directory of the program, "
            f"or, to run an installed one, add --program {name}"
        )
    parts = cwd.joinpath(*name.split("."))
    candidates = (parts.with_suffix(".py"), parts / "__main__.py")
    return next((path for path in candidates if path.is_file()), None)


def _installed() -> set[str]:
    paths = sysconfig.get_paths()
    return {os.path.realpath(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
