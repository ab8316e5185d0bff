"""docs/compatibility.md says what is tested, and nothing else.

`python tests/integrations/test_compatibility.py` writes it. A row names the programs that show it; each of
them is run, with a planted fault, by the tests named in `TESTED_BY`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "compatibility.md"
TESTED_BY = {
    "end_to_end": "tests/end_to_end/test_planted_faults.py",
    "ranks": "tests/ranks/test_bad_step.py",
    "integrations": "tests/integrations/test_programs.py",
}


@dataclass(frozen=True, slots=True)
class Row:
    """Something that a program may use."""

    what: str
    says: str
    programs: tuple[str, ...] = ()  # "folder/script" of the tests; none where nothing could be tried


ROWS = (
    Row("Lightning, `Trainer.fit`", "supported, unmodified", ("integrations/lightning_images",)),
    Row("Lightning, several devices started by the Trainer", "supported; Hydra programs: start them with torchrun",
        ("integrations/lightning_images",)),
    Row("Transformers, `Trainer`", "supported, unmodified; replayed in the loop", ("integrations/transformers_text",)),
    Row("Accelerate, `prepare`, `accumulate`", "supported, unmodified; replayed in the loop",
        ("integrations/accelerate_vae",)),
    Row("torch.compile", "supported: replayed without compilation, and as compiled where only that fails",
        ("end_to_end/compiled", "end_to_end/compiled_only")),
    Row("activation checkpointing, reentrant or not", "supported",
        ("end_to_end/checkpoint_forward", "end_to_end/checkpoint_backward", "end_to_end/checkpoint_reentrant")),
    Row("autocast, GradScaler", "supported: a scaler that backs off is healthy",
        ("end_to_end/autocast_bf16", "end_to_end/amp_backoff", "end_to_end/amp_unscale_clip", "end_to_end/amp_fused")),
    Row("several optimizers, closures, updates by hand", "supported",
        ("end_to_end/gan_generator", "end_to_end/lbfgs", "end_to_end/manual_sgd", "end_to_end/own_optimizer")),
    Row("workers, prefetching wrappers, iterable data sets", "supported; wrappers are replayed in a child process",
        ("end_to_end/loader_workers", "end_to_end/workers_spawn", "end_to_end/prefetch_thread",
         "end_to_end/iterable_dataset")),
    Row("sparse gradients, complex weights, tensor subclasses", "supported",
        ("end_to_end/sparse_embedding", "end_to_end/complex_weights", "end_to_end/subclass")),
    Row("DDP", "supported: one verdict for all ranks",
        ("ranks/ddp_nan_one_rank", "ranks/ddp_unused", "ranks/accumulate_no_sync")),
    Row("FSDP2, DTensor", "supported: each rank judges its shards; capsules leave DTensors out",
        ("ranks/fsdp2", "ranks/fsdp2_other_shard")),
    Row("collectives by hand", "supported", ("ranks/manual_allreduce",)),
    Row("processes that a program spawns by itself (`ddp_spawn`, `mp.spawn`)",
        "not supervised: the run ends with status 4; start the ranks with torchrun"),
    Row("CUDA graphs of whole steps", "not supported: no Python runs in a replayed graph, so nothing is judged there"),
    Row("FSDP1, DeepSpeed, tensor or pipeline parallel", "not tried"),
)  # fmt: skip


def page() -> str:
    """The page as it has to be."""
    lines = [
        "# What works with what",
        "",
        "Written by `tests/integrations/test_compatibility.py`: each line that says *supported* is shown by programs",
        "with planted faults, which have to be stopped at the right step, replayed, and located to the marked line,",
        "and whose kinds have to stay the same to the bit when healthy. On CPUs, with torch 2.13, Lightning 2.6,",
        "Transformers 5.23, Accelerate 1.15; those of the frameworks also with torch 2.6, Lightning 2.4,",
        "Transformers 4.50 and Accelerate 1.0 (`make test-oldest`).",
        "",
        "| | | shown by |",
        "|---|---|---|",
    ]
    lines += [f"| {row.what} | {row.says} | {', '.join(f'`{p}`' for p in row.programs) or '–'} |" for row in ROWS]
    lines += ["", "The programs lie in `tests/<folder>/scripts/`:", ""]
    lines += [f"- `{folder}`: run by `{test}`" for folder, test in TESTED_BY.items()]
    return "\n".join(lines) + "\n"


def test_the_page_says_what_is_tested() -> None:
    """As written here, to the letter."""
    assert PAGE.read_text() == page()


def test_every_program_is_run_with_a_planted_fault() -> None:
    """Each is there, and named in the table of the test that runs it."""
    programs = {program for row in ROWS for program in row.programs}
    assert len(programs) == 29
    for program in programs:
        folder, name = program.split("/")
        scripts = ROOT / "tests" / folder / "scripts"
        assert (scripts / f"{name}.py").exists() or (scripts / name).is_dir(), program
        assert f'"{name}"' in (ROOT / TESTED_BY[folder]).read_text(), program


def test_what_is_supported_is_shown() -> None:
    """No line promises without a program."""
    assert all(bool(row.programs) is row.says.startswith("supported") for row in ROWS)


if __name__ == "__main__":
    PAGE.write_text(page())
