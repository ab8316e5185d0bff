"""A causal language model fine-tuned by the Trainer, as its users write it. FAULT plants one fault."""

import hashlib
import os
import sys

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments
from transformers.modeling_outputs import CausalLMOutputWithCrossAttentions

FAULT = os.environ.get("FAULT", "")
BAD_TEXT = 37
SENTENCES = [f"the {a} {b} sees the {c}" for a in ("old", "red", "shy", "sly") for b in "abcd" for c in "efgh"]


class Texts(Dataset[dict[str, Tensor]]):
    """Sentences as bytes, each with the weight that somebody gave it."""

    def __init__(self) -> None:
        self.tokens = torch.tensor([list(sentence.encode()) for sentence in SENTENCES])
        self.weights = torch.ones(len(SENTENCES))
        if FAULT in ("forward", "backward"):
            self.weights[BAD_TEXT] = 0.0
        if FAULT == "data":
            self.weights[BAD_TEXT] = torch.nan

    def __len__(self) -> int:
        return len(self.tokens)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"input_ids": self.tokens[index], "labels": self.tokens[index], "weight": self.weights[index]}


class Weighted(GPT2LMHeadModel):
    """The loss of each batch divided by the weights of its texts."""

    def forward(
        self, input_ids: Tensor, labels: Tensor, weight: Tensor, **_more: object
    ) -> CausalLMOutputWithCrossAttentions:
        output = super().forward(input_ids=input_ids, labels=labels)
        if FAULT == "forward":
            output.loss = output.loss * torch.div(1.0, weight).mean()  # origin: forward
        elif FAULT == "backward":
            size = output.logits.square().mean(dim=(1, 2))
            output.loss = output.loss + (weight * size).sqrt().mean()  # origin: backward
        elif FAULT == "half":
            output.loss = output.loss + (output.logits.half() * 60000).sum().float()  # origin: half
        else:
            output.loss = output.loss * weight.mean()  # origin: data
        return output


def bits(model: nn.Module) -> str:
    """A digest of every parameter."""
    content = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    return hashlib.blake2b(content, digest_size=8).hexdigest()


def main() -> None:
    """Fine-tune for one epoch."""
    torch.manual_seed(0)
    model = Weighted(GPT2Config(vocab_size=128, n_positions=24, n_embd=16, n_layer=2, n_head=2))
    arguments = TrainingArguments(
        output_dir=sys.argv[1], per_device_train_batch_size=8, num_train_epochs=1, logging_steps=1, save_strategy="no",
        report_to=[], use_cpu=True, disable_tqdm=True, remove_unused_columns=False,
        gradient_accumulation_steps=int(os.environ.get("ACCUMULATE", "1")),
    )  # fmt: skip
    trained = Trainer(model=model, args=arguments, train_dataset=Texts()).train()
    print("trained", trained.training_loss.hex(), bits(model))


if __name__ == "__main__":
    main()
