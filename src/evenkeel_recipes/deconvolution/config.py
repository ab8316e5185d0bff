"""What each command can be asked for; every field is an option of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evenkeel_recipes.kit.options import option, required

ASSUMED = ("linear", "log1p", "log2p1")
HEADS = ("anchored", "free")
RESIDUAL_INPUTS = ("logq", "logq+x", "auto")
RECONSTRUCTIONS = ("deviance", "nb", "mse_log1p")
SCHEDULES = ("constant", "cosine", "plateau")
PRESETS = ("default", "late")


@dataclass(frozen=True, slots=True)
class ReferenceConfig:
    """Where labelled single cells come from."""

    reference: Path | None = option(None, "Labelled single cells (.h5ad, raw counts); without it, the simulator.")
    cell_type_key: str = option("cell_type", "Column of obs with the cell types.")
    counts_layer: str = option("counts", "Layer with raw counts; X where there is none.")
    donor_key: str | None = option(None, "Column of obs with the donors; they are then kept apart.")
    gene_key: str | None = option(None, "Column of var with the names of genes that bulk has; default: its index.")


@dataclass(frozen=True, slots=True)
class CellsConfig(ReferenceConfig):
    """Which of the cells and genes are kept."""

    max_cells_per_type: int = option(2000, "At most so many cells of a type are read, drawn at random.", least=3)
    n_genes: int = option(5000, "Genes to keep, those that tell types apart most.", "--n-hvg", least=2)
    seed: int = option(42, "Of every draw.", least=0)


@dataclass(frozen=True, slots=True)
class DataConfig(CellsConfig):
    """What pseudo-bulk samples are made of; whatever changes their files stands here."""

    n_train: int = option(10_000, "Pseudo-bulk samples to train on.", least=1)
    n_val: int = option(1000, "Pseudo-bulk samples to choose by.", least=24)
    n_test: int = option(1000, "Pseudo-bulk samples to judge by.", least=2)
    n_cells: int = option(1000, "Cells in a pseudo-bulk sample.", least=1)
    alpha: float = option(1.0, "Dirichlet parameter of the proportions.", above=0)
    redraws: int = option(
        20, "How often signature and mixtures are drawn from other halves of the training cells.", least=1
    )
    technology: float = option(
        0.8, "Up to which deviation (of the logarithm) genes are scaled in training mixtures.", least=0
    )
    fault: tuple[str, ...] = option((), "Historical failures to plant, by name.", "--faults")


@dataclass(frozen=True, slots=True)
class RunConfig(DataConfig):
    """Train on the embedded simulator, or on your reference, and estimate the proportions of your bulk samples.

    Exit status: 0 done; 2 usage; 3 stopped on a bad number; 4 data refused; 5 no better than the best baseline, with
    --require-skill.
    """

    data_dir: Path | None = option(None, "Samples that `simulate` wrote, with the same options; else they are made.")
    bulk: Path | None = option(None, "Bulk samples (.h5ad, .csv, .tsv, .npy), linear: counts, CPM or TPM.")
    truth: Path | None = option(None, "Measured proportions of the bulk samples (.csv: samples x types).")
    out: Path = option(Path("deconvolution-run"), "Directory of everything that is written.", "--output-dir")
    assume: str = option("linear", "What the bulk values are.", choices=ASSUMED)
    latent_dim: int = option(32, "Width of the latent space of the VAE.", least=1)
    hidden_dim: int = option(128, "Width of the hidden layers.", least=1)
    n_hidden: int = option(1, "Hidden layers of encoder, decoder and networks each.", least=1)
    logvar_bound: float = option(10.0, "The log-variance of a cell stays within ± this.", above=0, below=88)
    head: str = option("anchored", "Networks start from the likelihoods, or read expression alone.", choices=HEADS)
    residual_inputs: str = option(
        "logq",
        "What anchored networks read: the likelihoods' estimates, the expression as well, or what validates better.",
        choices=RESIDUAL_INPUTS,
    )
    dropout: float = option(0.2, "Dropout of the deconvolution network.", least=0, below=1)
    members: int = option(3, "Networks whose estimates are averaged.", least=1)
    learning_rate: float = option(1e-3, "Step size of AdamW.", "--lr", above=0)
    weight_decay: float = option(1e-2, "Weight decay of AdamW.", least=0)
    schedule: str = option(
        "cosine",
        "Step size: as given, to 0 along a cosine, or halved when training stalls.",
        choices=SCHEDULES,
    )
    ema: float = option(0.0, "Decay of averaged weights, which are then judged and kept; 0: none.", least=0, below=1)
    batch_size: int = option(256, "Pairs (a cell, a bulk sample) in an update, over all devices.", "--bs", least=1)
    max_epochs: int = option(100, "Epochs at most.", least=1)
    epoch_len: str = option("bulk", "An epoch: all bulk samples (bulk), the longer of both streams (max), or N pairs.")
    patience: int = option(20, "Epochs without a better validation before training ends.", least=1)
    preset: str = option("default", "Loss of the proportions, and the weights that are not given.", choices=PRESETS)
    lambda_kl: float | None = option(None, "Weight of the VAE's divergence: 0.1, late 0.01.", least=0)
    lambda_proto: float | None = option(None, "Weight of the prototype term: 1, late 0.1.", least=0)
    lambda_bulk: float | None = option(None, "Weight of all bulk terms: 1, late 10.", least=0)
    lambda_bulk_recon: float | None = option(
        None, "Weight of the bulk's reconstruction among them: 0.5, late 5.", least=0
    )
    recon: str = option("deviance", "What a reconstructed bulk sample is judged by.", choices=RECONSTRUCTIONS)
    kl_warmup: int = option(10, "Epochs over which the divergence reaches its weight.", least=1)
    clip_norm: float = option(1.0, "Norm of the gradient above which it is scaled down.", above=0)
    precision: str = option("32-true", "Format of the arithmetic.", choices=("32-true", "bf16-mixed"))
    devices: int = option(1, "Processes to train in.", least=1)
    cpu: bool = option(False, "Stay on the CPU.")
    quick_test: bool = option(False, "A small run of two epochs, to see that all fits together.")
    resume: bool = option(False, "Go on where the run in --out stopped.")
    experiment_name: str = option("deconvolution", "Name under the TensorBoard directory.")
    yes: bool = option(False, "Do not ask before a full run.", "-y")
    require_skill: bool = option(False, "End with status 5 unless the model beats every baseline.")

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        return (self.hidden_dim,) * self.n_hidden


@dataclass(frozen=True, slots=True)
class PrepareConfig(CellsConfig):
    """Divide a reference into train.h5ad (80 %) and test.h5ad (20 %), by donor where donors are known."""

    reference: Path = option(Path("adata_full.h5ad"), "Labelled single cells (.h5ad, raw counts).")
    out: Path = option(Path("adata_hvg"), "Directory to write.", "--output-dir")
    force: bool = option(False, "Overwrite what is there.")


@dataclass(frozen=True, slots=True)
class SimulateConfig(DataConfig):
    """Write the pseudo-bulk samples of a run, and the file that `run --config` goes on from."""

    out: Path = option(Path("deconvolution-data"), "Directory to write.", "--output-dir")
    force: bool = option(False, "Overwrite what is there.")


@dataclass(frozen=True, slots=True)
class ValidateConfig(ReferenceConfig):
    """Check samples and cells before anything is trained on them; each failure names file, row and gene."""

    data_dir: Path = option(Path("deconvolution-run/data"), "Samples that `run` or `simulate` wrote.")
    file: Path | None = option(None, "Only this file of bulk samples (.npy), whoever wrote it.")
    props: Path | None = option(None, "Its proportions (.npy).")


@dataclass(frozen=True, slots=True)
class DoctorConfig:
    """The checklist before, during and after a run, a line each; status 4 when a check fails."""

    run: Path = option(Path("deconvolution-run"), "Directory that the run writes.", "--log-dir")


@dataclass(frozen=True, slots=True)
class TestConfig:
    """Judge a checkpoint on new mixtures of cells that it has not seen."""

    checkpoint: Path | None = option(None, "A file in RUN/checkpoints; or --auto.")
    auto: bool = option(False, "The best checkpoint of the newest run beneath the current directory.")
    experiment: str | None = option(None, "With --auto: only runs with this --experiment-name.")
    out: Path | None = option(None, "Directory to write; default: RUN/test.", "--output-dir")
    n_test: int = option(5000, "Mixtures to judge by.", least=2)
    seed: int = option(999, "Of the mixtures.", least=0)


@dataclass(frozen=True, slots=True)
class ExportConfig:
    """Write what the types look like: counts per million of each gene, and the mRNA content of a cell."""

    model: Path = option(Path("deconvolution-run"), "Directory that a run wrote.")
    out: Path = option(Path("signature.csv"), "File to write.")
    which: str = option(
        "reference", "As counted in the reference, or as training moved it.", choices=("reference", "learned")
    )


@dataclass(frozen=True, slots=True)
class PredictConfig:
    """Estimate the proportions of bulk samples with what a run has trained."""

    bulk: Path = required("Bulk samples (.h5ad, .csv, .tsv, .npy with genes.txt), linear: counts, CPM or TPM.")
    model: Path = option(Path("deconvolution-run"), "Directory that a run wrote.")
    out: Path = option(Path("proportions.csv"), "File to write.")
    truth: Path | None = option(None, "Measured proportions (.csv: samples x types), to score against.")
    assume: str = option("linear", "What the bulk values are.", choices=ASSUMED)
    cell_size: str = option(
        "reference", "mRNA of a cell by type: the reference's, alike (ones), or a FILE.csv with type,counts."
    )


@dataclass(frozen=True, slots=True)
class MonitorConfig:
    """Look at a run from another terminal: curves, whether they are finite, where they go."""

    run: Path = option(Path("deconvolution-run"), "Directory that the run writes.", "--log-dir")
    output_dir: Path | None = option(None, "Where to write plots and summary; default: RUN/monitor.")
    watch: bool = option(False, "Go on until interrupted.")
    interval: float = option(30.0, "Seconds between looks.", above=0)


@dataclass(frozen=True, slots=True)
class ExplainConfig:
    """Tell what can be planted, what was wrong with it, and what ought to be said about it."""

    fault: tuple[str, ...] = option((), "Only these.", "--faults")


@dataclass(frozen=True, slots=True)
class MenuConfig:
    """Choose a command by its number."""
