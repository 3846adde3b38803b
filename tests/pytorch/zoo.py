"""Twenty architectures, small: torch's own, those of transformers from a config, and some by hand. Nothing is downloaded."""

from collections.abc import Callable
from typing import Any

import torch
import transformers
from torch import nn

SMALL = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
DECODER = SMALL | {
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
TOKENS = torch.randint(3, 50, (4, 7), generator=torch.Generator().manual_seed(0))
TEXT = {"input_ids": TOKENS, "attention_mask": torch.ones_like(TOKENS)}


def images(side: int = 16, channels: int = 3) -> torch.Tensor:
    return torch.randn(4, channels, side, side, generator=torch.Generator().manual_seed(1))


class Last(nn.Module):
    """A recurrent network with a head on its last state."""

    def __init__(self, kind: Any):
        super().__init__()
        self.body, self.head = kind(5, 8, num_layers=2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x)[0][:, -1])


class Mixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.patch, self.norm = nn.Conv2d(3, 16, 4, 4), nn.LayerNorm(16)
        self.tokens = nn.Sequential(nn.Linear(16, 24), nn.GELU(), nn.Linear(24, 16))
        self.channels = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.patch(x).flatten(2).transpose(1, 2)
        h = h + self.tokens(self.norm(h).transpose(1, 2)).transpose(1, 2)
        return self.head((h + self.channels(h)).mean(1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.GroupNorm(2, 8)
        self.low, self.batch = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.up, self.out = nn.ConvTranspose2d(8, 8, 2, 2), nn.Conv2d(16, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = nn.functional.silu(self.norm(self.down(x)))
        low = nn.functional.silu(self.batch(self.low(nn.functional.avg_pool2d(h, 2))))
        return self.out(torch.cat([h, self.up(low)], 1))


class Attention(nn.Module):
    """Graph attention (GAT) with two heads on graphs of six nodes; the graphs are inputs."""

    def __init__(self):
        super().__init__()
        self.project, self.source, self.target = nn.Linear(5, 16, bias=False), nn.Linear(8, 1), nn.Linear(8, 1)
        self.head = nn.Linear(16, 2)

    def forward(self, nodes: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        h = self.project(nodes).unflatten(-1, (2, 8)).transpose(1, 2)
        scores = nn.functional.elu(self.source(h) + self.target(h).transpose(-1, -2), 0.2)
        weights = torch.softmax(scores.masked_fill(edges[:, None] == 0, -1e9), -1)
        return self.head(torch.tanh((weights @ h).transpose(1, 2).flatten(2)).mean(1))


class ResNet(nn.Module):
    def __init__(self, activation: Callable[[], nn.Module] = nn.SiLU):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), activation())
        self.block = nn.Sequential(
            nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), activation(), nn.Conv2d(8, 8, 3, padding=1)
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.stem(x)
        return self.head(h + self.block(h))


def hf(config: str, model: str, **settings: Any) -> Callable[[], nn.Module]:
    return lambda: getattr(transformers, model)(getattr(transformers, config)(**settings))


def rows(*shape: int) -> torch.Tensor:
    return torch.randn(4, *shape, generator=torch.Generator().manual_seed(2))


GRAPHS = (rows(6, 5), (torch.rand(4, 6, 6, generator=torch.Generator().manual_seed(3)) > 0.4).float() + torch.eye(6))
MLP = lambda: nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 3))  # noqa: E731
ENCODER = lambda: nn.Sequential(  # noqa: E731
    nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True), nn.Flatten(), nn.Linear(40, 3)
)
ZOO: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "MLP with LayerNorm": (MLP, rows(5)),
    "encoder layer": (ENCODER, rows(5, 8)),
    "LSTM": (lambda: Last(nn.LSTM), rows(6, 5)),
    "GRU": (lambda: Last(nn.GRU), rows(6, 5)),
    "ResNet": (ResNet, images(8)),
    "U-Net": (UNet, images(8)),
    "MLP-Mixer": (Mixer, images()),
    "GAT": (Attention, GRAPHS),
    "GPT-2, tied": (hf("GPT2Config", "GPT2LMHeadModel", vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=16,
                       bos_token_id=1, eos_token_id=2), TEXT),
    "BERT": (hf("BertConfig", "BertForSequenceClassification", num_labels=3, **SMALL), TEXT),
    "RoBERTa": (hf("RobertaConfig", "RobertaForSequenceClassification", num_labels=3, **SMALL), TEXT),
    "Llama": (hf("LlamaConfig", "LlamaForCausalLM", **DECODER), TEXT),
    "Mistral": (hf("MistralConfig", "MistralForCausalLM", **DECODER), TEXT),
    "Qwen": (hf("Qwen2Config", "Qwen2ForCausalLM", **DECODER), TEXT),
    "Gemma": (hf("GemmaConfig", "GemmaForCausalLM", head_dim=8, **DECODER), TEXT),
    "T5": (hf("T5Config", "T5ForConditionalGeneration", vocab_size=50, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
              feed_forward_proj="gated-gelu", pad_token_id=0, decoder_start_token_id=0),
           TEXT | {"decoder_input_ids": TOKENS[:, :4]}),
    "ViT": (hf("ViTConfig", "ViTForImageClassification", num_labels=3, image_size=16, patch_size=8,
               **{k: v for k, v in SMALL.items() if k != "vocab_size"}), images()),
    "ConvNeXt": (hf("ConvNextConfig", "ConvNextForImageClassification", num_labels=3, hidden_sizes=[8, 8], depths=[1, 1],
                    num_stages=2, patch_size=2, image_size=16), images()),
    "ResNet (transformers)": (hf("ResNetConfig", "ResNetForImageClassification", num_labels=3, embedding_size=8,
                                 hidden_sizes=[8, 8], depths=[1, 1], layer_type="basic", hidden_act="silu"), images()),
    "Mamba": (hf("MambaConfig", "MambaForCausalLM", vocab_size=50, hidden_size=16, num_hidden_layers=2, state_size=4,
                 pad_token_id=0, bos_token_id=1, eos_token_id=2), {"input_ids": TOKENS}),
}  # fmt: skip


def built(name: str) -> tuple[nn.Module, Any]:
    """A module in evaluation mode and its inputs."""
    torch.manual_seed(0)
    make, inputs = ZOO[name]
    return make().eval(), inputs


def moved(module: nn.Module, size: float = 0.3, seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict whose parameters have moved at random, by a fraction of their scale (of 0.05 for those that are zero)."""
    generator = torch.Generator().manual_seed(seed)
    state, shared = module.state_dict(), dict[int, torch.Tensor]()
    for value in module.parameters():
        scale = size * max(float(value.detach().square().mean().sqrt()), 0.05)
        shared[id(value)] = value.detach() + scale * torch.randn(value.shape, generator=generator)
    every = dict(module.named_parameters(remove_duplicate=False))
    return {name: shared[id(every[name])] if name in every else value for name, value in state.items()}
