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
    "end_to_end": ("tests/end_to_end/test_planted_faults.py",),
    "ranks": ("tests/ranks/test_bad_step.py",),
    "integrations": ("tests/integrations/test_programs.py", "tests/integrations/test_further_programs.py"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """Something that a program may use."""

    what: str
    says: str
    programs: tuple[str, ...] = ()  # "folder/script" of the tests; none where nothing could be tried


ROWS = (
    Row("Lightning, `Trainer.fit`", "supported, unmodified", ("integrations/lightning_images",)),
    Row("Lightning, manual optimization with several optimizers", "supported, unmodified",
        ("integrations/lightning_gan",)),
    Row("Lightning, accumulated batches, clipping, `bf16-mixed`, `16-true`, EarlyStopping, progress bars",
        "supported; a validation that is not finite ends a run as it does alone", ("integrations/lightning_options",)),
    Row("Lightning, several devices started by the Trainer (`ddp`, `ddp_spawn`)", "supported",
        ("integrations/lightning_images", "integrations/lightning_options")),
    Row("Lightning, `strategy='fsdp'`", "not tried: Lightning refuses it without a card"),
    Row("Hydra, `@hydra.main`", "supported, unmodified", ("integrations/hydra_regression",)),
    Row("Hydra with several devices started by Lightning", "refused with a sentence: start the ranks with torchrun"),
    Row("Transformers, `Trainer`", "supported, unmodified; replayed in the loop", ("integrations/transformers_text",)),
    Row("Accelerate, `prepare`, `accumulate`, `mixed_precision`", "supported, unmodified; replayed in the loop",
        ("integrations/accelerate_vae",)),
    Row("torch.compile", "supported: replayed without compilation, and as compiled where only that fails",
        ("end_to_end/compiled", "end_to_end/compiled_only")),
    Row("activation checkpointing, reentrant or not", "supported",
        ("end_to_end/checkpoint_forward", "end_to_end/checkpoint_backward", "end_to_end/checkpoint_reentrant")),
    Row("autocast, GradScaler", "supported: a scaler that backs off is healthy",
        ("end_to_end/autocast_bf16", "end_to_end/amp_backoff", "end_to_end/amp_unscale_clip", "end_to_end/amp_fused")),
    Row("float16 under autocast without a scaler",
        "supported: where a gradient overflows, the missing scaler is named; those that vanish are finite, and nothing "
        "is said of them", ("integrations/half_without_scaler",)),
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
    Row("ranks that a program spawns by itself (`torch.multiprocessing.spawn`, `start_processes`)",
        "supported; `evenkeel replay` of their capsules is not", ("integrations/spawned_ranks",)),
    Row("ranks started as `multiprocessing.Process`",
        "not supervised: the run ends with status 4; start the ranks with torchrun"),
    Row("CUDA graphs of whole steps (`torch.cuda.graph` around `optimizer.step()`)",
        "refused with a sentence while it is captured: a replayed graph runs no Python. Not tried on a card"),
    Row("`torch.compile(mode='reduce-overhead')`",
        "on a CPU as `torch.compile`, because it makes no graphs there; not tried on a card"),
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
        "Transformers 4.50 and Accelerate 1.0 (`make test-oldest`), and with torch 2.15 (`make test-newest`).",
        "Hydra is 1.3.",
        "",
        "| | | shown by |",
        "|---|---|---|",
    ]
    lines += [f"| {row.what} | {row.says} | {', '.join(f'`{p}`' for p in row.programs) or '–'} |" for row in ROWS]
    lines += ["", "The programs lie in `tests/<folder>/scripts/`:", ""]
    lines += [f"- `{folder}`: run by {', '.join(f'`{test}`' for test in tests)}" for folder, tests in TESTED_BY.items()]
    return "\n".join(lines) + "\n"


def test_the_page_says_what_is_tested() -> None:
    """As written here, to the letter."""
    assert PAGE.read_text() == page()


def test_every_program_is_run_with_a_planted_fault() -> None:
    """Each is there, and named in the table of the test that runs it."""
    programs = {program for row in ROWS for program in row.programs}
    assert len(programs) == 34
    for program in programs:
        folder, name = program.split("/")
        scripts = ROOT / "tests" / folder / "scripts"
        assert (scripts / f"{name}.py").exists() or (scripts / name).is_dir(), program
        assert any(f'"{name}"' in (ROOT / test).read_text() for test in TESTED_BY[folder]), program


def test_what_is_supported_is_shown() -> None:
    """No line promises without a program."""
    assert all(bool(row.programs) is row.says.startswith("supported") for row in ROWS)


if __name__ == "__main__":
    PAGE.write_text(page())
