"""What can be chosen about a run; each field is an option of the command line and a key of `--config`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evenkeel_recipes.kit.options import option, required

STAGES = ("vae", "flow", "joint", "all")
PRESETS = ("combo_seen2", "combo_seen1", "combo_seen0", "unseen_single", "leave_context", "random")


@dataclass(frozen=True)
class DataConfig:
    """Check an AnnData file, and tell what is in it."""

    data: Path | None = option(None, "Cells as .h5ad; without it, cells are simulated.")
    counts_layer: str | None = option(None, 'Layer with raw counts. Default: "counts" where there is one, else X.')
    perturbation_key: str = option("perturbation", "Column of obs with what was done to a cell.")
    control: str = option("control", "What that column says of an untreated cell.")
    combo_sep: str = option("+", "What stands between the parts of a combination.")
    batch_key: str | None = option(None, 'Column with the batch. Default: "batch" where there is one, else one batch.')
    cell_type_key: str | None = option(None, 'Column with the cell type. Default: "cell_type", else one type.')
    dose_key: str | None = option(None, "Column with a dose, which multiplies the code of a perturbation.")
    spatial_key: str | None = option(None, "Key of obsm with 2 or 3 coordinates of each cell.")
    perturbation_features: Path | None = option(
        None, "CSV with a row of numbers for each perturbation, its name first: makes unseen ones predictable."
    )
    cells_per_condition: int = option(
        0, "At most so many cells of each treatment and type, drawn at random; 0: all.", least=0
    )
    min_cells: int = option(20, "Treatments with fewer cells are named.", least=0)
    seed: int = option(0, "Of all random numbers.")


@dataclass(frozen=True)
class RunConfig(DataConfig):
    """Train the VAE, then the flow, then both; evaluate on what was held out, beside baselines and ceiling."""

    out: Path = option(Path("virtual-cell-run"), "Directory of everything that is written.")
    holdout: tuple[str, ...] = option((), "Treatments kept from training: A+B, or C@TYPE for one cell type only.")
    split: str | None = option(None, f"A file with one treatment a line to hold out, or one of: {', '.join(PRESETS)}.")
    stage: str = option("all", "Which stage to train; flow and joint go on from what lies in --out.", choices=STAGES)
    quick_test: bool = option(False, "Two epochs a stage.")
    remap: bool = option(
        False, "With --stage flow or joint: take the data's names in the order of the checkpoint, where they differ."
    )
    profile: bool = option(False, "Tell the time of a step and the memory of each stage.")
    resume: bool = option(False, "Go on after the last epoch that lies in --out, the same to the bit.")
    fault: tuple[str, ...] = option(
        (), "Plant historical failures; `evenkeel recipes do virtual-cell faults` lists them."
    )
    policy: str = option("stop", "What is done about a bad step.", choices=("stop", "skip", "observe"))
    require_skill: bool = option(False, "Exit status 5 unless the headline beats every baseline.")

    epochs_vae: int = option(
        -1, "Epochs of stage 1. Default: 50, fewer beyond 10,000 cells: as many steps as those take.", least=-1
    )
    epochs_flow: int = option(-1, "Epochs of stage 2. Default: likewise.", least=-1)
    epochs_joint: int = option(3, "Epochs of stage 3.", least=0)
    batch_size: int = option(64, "Cells of a step, of all processes together.", least=1)
    lr_vae: float = option(1e-3, "Learning rate of stage 1.", "--lr", least=0)
    lr_flow: float = option(1e-3, "Learning rate of stage 2.", least=0)
    lr_joint: float = option(5e-5, "Learning rate of stage 3.", least=0)
    schedule: str = option("cosine", "Of the learning rate over a stage.", choices=("cosine", "constant"))
    weight_decay: float = option(1e-5, "Of AdamW.", least=0)
    clip: float = option(1.0, "Gradients are clipped to this norm.", above=0)
    nan_check_interval: int = option(
        10, "Each so many steps, parameters with large gradients are listed in the log.", least=1
    )
    precision: str = option(
        "float32", "Of the linear layers; likelihoods are float32 always.", choices=("float32", "bfloat16")
    )
    device: str = option(
        "auto", "Where stages are trained; auto: on a GPU where there is one.", choices=("auto", "cpu", "cuda")
    )
    gradient_checkpointing: bool = option(False, "Compute the decoder twice rather than keep its activations.")

    dim_int: int = option(32, "Size of the intrinsic latent.", least=1)
    dim_tech: int = option(8, "Size of the technical latent.", least=1)
    hidden_dim: int = option(256, "Width of encoder and decoder.", least=1)
    dropout: float = option(0.1, "Of encoder and decoder.", least=0, below=1)
    log_var_bound: float = option(
        6.0, "Log-variances of the posterior stay within plus and minus this, by a tanh.", above=0
    )
    encoder_input: str = option("log1p", "What the encoder sees.", choices=("log1p", "log1p_cp10k"))
    dispersion: str = option("gene", "What has a theta of its own.", choices=("gene", "gene_batch"))
    nll_reduction: str = option("sum", "Of the likelihood over genes.", choices=("sum", "mean_gene"))
    beta: float = option(1.0, "Weight of the KL divergence.", least=0)
    beta_warmup: int = option(0, "Epochs in which beta rises from 0, linearly.", least=0)
    adapter: str = option(
        "additive",
        "Effects of combinations: sums of single ones and, learned, what is beyond them; or one function of all.",
        choices=("additive", "difference"),
    )
    init: str = option("xavier", "Of the flow.", choices=("xavier", "kaiming"))

    source: str = option(
        "control", "Where the flow starts: control cells of the context, or noise.", choices=("control", "noise")
    )
    coupling: str = option("ot", "Which start goes with which end.", choices=("ot", "independent"))
    ema: float = option(0.999, "Decay of the averaged weights of the flow.", least=0, below=1)
    lambda_dist: float = option(
        0.0, "Weight of the distance between generated and real latents of a condition.", least=0
    )
    distance: str = option("mmd", "Which distance that is.", choices=("mmd", "energy"))
    joint_flow_weight: float = option(1.0, "Weight of the flow's loss in stage 3.", least=0)
    patience: int = option(
        0, "Epochs without a better validation energy distance before stage 2 ends; 0: never.", least=0
    )

    solver: str = option("midpoint", "Of the flow.", choices=("euler", "midpoint", "heun", "rk4"))
    n_steps: int = option(20, "Evaluations of the velocity for a cell.", least=1)
    guidance: float = option(1.0, "How much of the perturbation's velocity is applied; 1: as trained.")
    tech: str = option("match_batch", "Technical latent of generated cells.", choices=("match_batch", "prior", "zero"))
    anchor: str = option(
        "effects", "What means rest on: additive effects, or the flow alone.", choices=("effects", "none")
    )
    eval_cells: int = option(300, "Cells generated, and at most taken of the data, for distances.", least=2)

    @property
    def is_planted(self) -> bool:
        """Whether something is meant to go wrong."""
        return bool(self.fault)


@dataclass(frozen=True)
class CheckupConfig(RunConfig):
    """Look for failures that stay finite, as `run` does before it trains; status 3 where there is one."""


@dataclass(frozen=True)
class EvaluateConfig:
    """Judge a trained model as `run` does, on the cells of its run or on others; nothing is trained.

    What is not given is as it was in the run: cells, columns, what was held out, seed, solver.
    """

    model: Path = required("Directory that a run wrote.")
    data: Path | None = option(None, "Other cells as .h5ad.")
    holdout: tuple[str, ...] = option((), "Treatments to judge by: A+B, or C@TYPE for one cell type only.")
    split: str | None = option(None, f"A file with one treatment a line to judge by, or one of: {', '.join(PRESETS)}.")
    out: Path | None = option(None, "Directory for metrics.json and report.html; without it, they are not written.")
    remap: bool = option(False, "Where the names of the cells are in another order than the model's, go by the names.")
    require_skill: bool = option(False, "Exit status 5 unless the headline beats every baseline.")

    counts_layer: str | None = option(None, "Layer with raw counts.")
    perturbation_key: str | None = option(None, "Column of obs with what was done to a cell.")
    control: str | None = option(None, "What that column says of an untreated cell.")
    combo_sep: str | None = option(None, "What stands between the parts of a combination.")
    batch_key: str | None = option(None, "Column with the batch.")
    cell_type_key: str | None = option(None, "Column with the cell type.")
    dose_key: str | None = option(None, "Column with a dose.")
    perturbation_features: Path | None = option(None, "CSV with a row of numbers for each perturbation.")
    cells_per_condition: int | None = option(
        None, "At most so many cells of each treatment and type, drawn at random; 0: all.", least=0
    )
    seed: int | None = option(None, "Of all random numbers, those of the split among them.")

    solver: str | None = option(None, "Of the flow.", choices=("euler", "midpoint", "heun", "rk4"))
    n_steps: int | None = option(None, "Evaluations of the velocity for a cell.", least=1)
    guidance: float | None = option(None, "How much of the perturbation's velocity is applied; 1: as trained.")
    tech: str | None = option(None, "Technical latent of generated cells.", choices=("match_batch", "prior", "zero"))
    eval_cells: int | None = option(None, "Cells generated, and at most taken of the data, for distances.", least=2)


@dataclass(frozen=True)
class PredictConfig:
    """Generate cells of a perturbation, each beside the same cell without it."""

    model: Path = required("Directory that a run wrote.")
    perturbation: str = required("What is done to the cells: A, or A+B.")
    out: Path = option(Path("pred.h5ad"), "Where the cells go (.h5ad).")
    data: Path | None = option(
        None, "Cells (.h5ad) beside which the predicted ones are to lie: with the same genes in the same order."
    )
    remap: bool = option(False, "Where the names of --data are in another order than the model's, go by the names.")
    n: int = option(1000, "How many cells.")
    cell_type: str | None = option(None, "Cell type. Default: all that have controls, in their shares.")
    batch: str | None = option(None, "Batch. Default: all, in their shares.")
    dose: float = option(1.0, "Multiplies the code of the perturbation.", least=0)
    solver: str = option("midpoint", "Of the flow.", choices=("euler", "midpoint", "heun", "rk4"))
    n_steps: int = option(20, "Evaluations of the velocity for a cell.", least=1)
    guidance: float = option(1.0, "How much of the perturbation's velocity is applied; 1: as trained.")
    tech: str = option("match_batch", "Technical latent.", choices=("match_batch", "prior", "zero"))
    library: str = option(
        "sample",
        "Total counts: of control cells, moved as the perturbation moves them; or their median.",
        choices=("sample", "median"),
    )
    on_bad: str = option("stop", "What becomes of cells whose velocity is not finite.", choices=("stop", "mask"))
    seed: int = option(0, "Of all random numbers.")


@dataclass(frozen=True)
class DiagnoseConfig(DataConfig):
    """Least, largest and non-finite values of counts, means and theta, as a trained model has them on these cells."""

    model: Path = option(Path("virtual-cell-run"), "Directory that a run wrote.")
    remap: bool = option(False, "Where names are in another order than the model's, go by the names.")
