"""Folders of Hugging Face, adapters, and checkpoints of training runs; everything is made here, nothing is downloaded."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import peft
import pytest
import tokenizers
import torch
import transformers
import zoo
from jaxtyping import config
from safetensors.torch import load_file, save_file
from torch import nn

import taylornets as tn

TEXTS = ["a b c", "b c", "c c c a", "a"]


@pytest.fixture(autouse=True)
def unchecked():
    """Users run without the type checker."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


def write_tokenizer(folder):
    words = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "a", "b", "c"])}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="[PAD]", unk_token="[UNK]")
    made.save_pretrained(str(folder))


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A folder with a model, its weights in several shards, and a tokenizer."""
    folder = tmp_path_factory.mktemp("before")
    zoo.built("BERT")[0].save_pretrained(str(folder), max_shard_size="20KB")
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def after(tmp_path_factory, before):
    folder = tmp_path_factory.mktemp("after")
    module = zoo.built("BERT")[0]
    module.load_state_dict(zoo.moved(module))
    module.save_pretrained(str(folder))
    write_tokenizer(folder)
    return folder


def test_two_folders(before, after):
    assert len(list(before.glob("*.safetensors"))) > 1
    batch = tn.torch.tokenize(after, TEXTS)
    assert batch["input_ids"].shape == (4, 4)
    found = tn.torch.regime(tn.torch.load(before), tn.torch.load(after), batch, max_order=2)
    module = zoo.built("BERT")[0]
    direct = tn.torch.regime(module, zoo.moved(module), batch, max_order=2)
    assert np.allclose(found.share, direct.share, atol=1e-12)


def test_an_adapter_is_merged(before, tmp_path):
    """Its line `W0 + t B A` is that of the factor B alone, with A at its final value."""
    model = peft.get_peft_model(
        tn.torch.load(before), peft.LoraConfig(target_modules=["query", "value"], r=2, init_lora_weights=False)
    )
    model.peft_config["default"].base_model_name_or_path = str(before)
    model.save_pretrained(str(tmp_path / "adapter"))
    batch = tn.torch.tokenize(before, TEXTS)
    base = tn.torch.load(before)
    merged = tn.torch.load(tmp_path / "adapter")
    found = tn.torch.regime(base, merged, batch, max_order=2)
    assert all("query" in name or "value" in name for name in found.displacement)
    assert len(found.displacement) == 4
    live = tn.torch.regime(base, model.eval(), batch, max_order=2)
    assert np.allclose(live.share, found.share, atol=1e-5)
    start = {name: torch.zeros_like(v) if "lora_B" in name else v for name, v in model.state_dict().items()}
    factor = tn.torch.regime(start, model, batch, max_order=2)
    assert np.allclose(factor.share, found.share, atol=1e-5)
    moved = tn.torch.load(tmp_path / "adapter", base=before)
    assert torch.equal(moved.state_dict()["classifier.weight"], merged.state_dict()["classifier.weight"])


def broken(before, folder, change):
    shutil.copytree(before, folder)
    change(folder)
    return folder


def edit(name, **values):
    def change(folder):
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


def without_shard(folder):
    sorted(folder.glob("*.safetensors"))[1].unlink()


def lying(folder):
    path = sorted(folder.glob("*.safetensors"))[0]
    data = bytearray(path.read_bytes())
    path.write_bytes(data[: len(data) // 2])


def huge_header(folder):
    path = sorted(folder.glob("*.safetensors"))[0]
    path.write_bytes((2**40).to_bytes(8, "little") + path.read_bytes()[8:])


def fewer_weights(folder):
    state = {}
    for path in folder.glob("*.safetensors"):
        state |= load_file(path)
        path.unlink()
    (folder / "model.safetensors.index.json").unlink()
    del state["classifier.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})


def pickles(folder):
    for path in (*folder.glob("*.safetensors"), folder / "model.safetensors.index.json"):
        path.unlink()
    torch.save(zoo.built("BERT")[0].state_dict(), folder / "pytorch_model.bin")


def no_weights(folder):
    pickles(folder)
    (folder / "pytorch_model.bin").unlink()


def adapter(**values):
    def change(folder):
        (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "someone/model"} | values))
        save_file({"a": torch.ones(1)}, folder / "adapter_model.safetensors")

    return change


BAD = {
    "code": (edit("config.json", auto_map={"AutoModel": "x.Y"}), r"^folder: expected an architecture .* of transformers, got .*needs code of its own"),
    "quantized": (edit("config.json", quantization_config={}), r"^folder: expected weights in floating point, got .* with quantized weights"),
    "missing shard": (without_shard, r"^folder: expected all shards of the index, got .* without model-00002"),
    "truncated": (lying, r"^folder: expected a valid safetensors file, got .*SafetensorError"),
    "header": (huge_header, r"^folder: expected a valid safetensors file, got .*SafetensorError.*Is it truncated or damaged"),
    "fewer weights": (fewer_weights, r"^folder: expected all weights of BertForSequenceClassification, got .* without classifier\.weight\. They would be random"),
    "pickles": (pickles, r"^folder: expected safetensors, got .* with pickles only \(pytorch_model\.bin\)"),
    "no weights": (no_weights, r"^folder: expected a folder with config\.json .*, got .* without model\.safetensors"),
    "no config": (lambda folder: (folder / "config.json").unlink(), r"^folder: expected a folder with config\.json .* without config\.json"),
    "config": (lambda folder: (folder / "config.json").write_text("{"), r"^folder: expected a readable config\.json, got .*JSONDecodeError"),
    "base": (adapter(), r"^base: expected the folder of the adapter's base model, got none; the adapter names 'someone/model'"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_folders(name, before, tmp_path):
    change, words = BAD[name]
    with pytest.raises(tn.ArgumentError, match=words):
        tn.torch.load(broken(before, tmp_path / "folder", change))


def test_other_bad_requests(before, tmp_path):
    with pytest.raises(tn.ArgumentError, match=r"^folder: .* got .*, which does not exist"):
        tn.torch.load(tmp_path / "none")
    if not torch.cuda.is_available():
        with pytest.raises(
            tn.ArgumentError,
            match=r"^device: expected a device of this machine, got 'cuda:0', but CUDA is not available",
        ):
            tn.torch.load(before, device="cuda:0")
    with pytest.raises(tn.ArgumentError, match=r"^texts: expected a sequence of strings, one per example, got 'a b'"):
        tn.torch.tokenize(before, "a b")
    remote = broken(
        before, tmp_path / "remote", edit("tokenizer_config.json", auto_map={"AutoTokenizer": ["x.T", None]})
    )
    with pytest.raises(tn.ArgumentError, match=r"^folder: .* got .*remote, which needs code of its own"):
        tn.torch.tokenize(remote, TEXTS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(tn.ArgumentError, match=r"^folder: expected a folder with a tokenizer"):
        tn.torch.tokenize(tmp_path / "empty", TEXTS)


def test_pickles_with_a_word(before, tmp_path):
    module = tn.torch.load(broken(before, tmp_path / "old", pickles), pickle=True)
    assert torch.equal(module.classifier.weight, tn.torch.load(before).classifier.weight)


def trained(folder, steps=40):
    """A plain loop of ten lines."""
    torch.manual_seed(0)
    module, x = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1)), zoo.rows(5)
    keep = tn.torch.Checkpoints(folder, every=10)
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    for step in range(steps):
        keep(module, step)
        optimizer.zero_grad()
        ((module(x) - x[:, :1]) ** 2).mean().backward()
        optimizer.step()
    keep.finish(module, steps)
    return module.eval(), x


def test_regime_path(tmp_path):
    module, x = trained(tmp_path / "run")
    found = tn.torch.regime_path(module, tmp_path / "run", x, max_order=2)
    assert found.names == ("step_0", "step_10", "step_20", "step_30", "step_40")
    assert len(found.to_end) == len(found.steps) == 4
    assert found.first(1) is not None
    assert found.verdict.startswith(("lazy from step_", "quadratic from step_"))
    assert "order 1 explains least from step_" in str(found)
    states = [load_file(tmp_path / "run" / f"{name}.safetensors") for name in found.names]
    again = tn.torch.regime_path(module, states, x, max_order=2)
    assert again.to_end == found.to_end
    direct = tn.torch.regime_path(module, [states[1], states[4]], x, max_order=2)
    assert direct.to_end[0].share == found.to_end[1].share


def test_bad_checkpoints(tmp_path):
    module, x = trained(tmp_path / "run", steps=10)
    with pytest.raises(tn.ArgumentError, match=r"^folder: expected a folder without checkpoints"):
        tn.torch.Checkpoints(tmp_path / "run")
    with pytest.raises(tn.ArgumentError, match=r"^every: expected an integer ≥ 1, got 0"):
        tn.torch.Checkpoints(tmp_path / "other", every=0)
    with pytest.raises(tn.ArgumentError, match=r"^module: expected a torch\.nn\.Module, got a dict"):
        tn.torch.Checkpoints(tmp_path / "other")({}, 0)
    for given, words in (
        (tmp_path / "none", r"^checkpoints: expected a folder of safetensors files"),
        (3, r"^checkpoints: expected a folder, or a list .*, got a int"),
        ([module], r"^checkpoints: expected at least two checkpoints, got 1"),
        ([module, tmp_path / "x.bin"], r"^checkpoints: expected files ending in \.safetensors"),
        (
            [module, {"0.weight": torch.ones(1)}],
            r"^checkpoints: expected the names of the module, got a state without 0\.bias",
        ),
    ):
        with pytest.raises(tn.ArgumentError, match=words):
            tn.torch.regime_path(module, given, x)
    (tmp_path / "run" / "step_5.safetensors").write_bytes(b"123")
    with pytest.raises(tn.ArgumentError, match=r"^checkpoints: expected a valid safetensors file, got .*step_5"):
        tn.torch.regime_path(module, tmp_path / "run", x)
    with pytest.raises(tn.ArgumentError, match=r"^module: expected .* in evaluation mode"):
        tn.torch.regime_path(module.train(), tmp_path / "run", x)


def test_callback_of_transformers(tmp_path):
    module = zoo.built("BERT")[0]
    data = [{"input_ids": row, "labels": torch.tensor(i % 3)} for i, row in enumerate(zoo.TOKENS)]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "trainer"), max_steps=3, per_device_train_batch_size=2, report_to=[], save_strategy="no",
        disable_tqdm=True, use_cpu=True, logging_strategy="no",
    )  # fmt: skip
    callback = tn.torch.trainer_callback(tmp_path / "run", every=2)
    transformers.Trainer(module, arguments, train_dataset=data, callbacks=[callback]).train()
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [f"step_{i}.safetensors" for i in (0, 2, 3)]
    found = tn.torch.regime_path(module.eval(), tmp_path / "run", {"input_ids": zoo.TOKENS}, max_order=1)
    assert found.to_end[0].explained[0] > 0.9  # three small steps


def test_callback_of_lightning(tmp_path, monkeypatch):
    """With a stand-in for the base class: Lightning calls these three hooks with these arguments."""
    fake = SimpleNamespace(Callback=type("Callback", (), {}))
    monkeypatch.setitem(__import__("sys").modules, "lightning.pytorch", fake)
    monkeypatch.setitem(__import__("sys").modules, "lightning", SimpleNamespace(pytorch=fake))
    callback = tn.torch.lightning_callback(tmp_path / "run", every=2)
    assert isinstance(callback, fake.Callback)
    module = zoo.MLP()
    callback.on_train_start(SimpleNamespace(global_step=0), module)
    for step in (1, 2, 3):
        callback.on_train_batch_end(SimpleNamespace(global_step=step), module, None, None, 0)
    callback.on_train_end(SimpleNamespace(global_step=3), module)
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [f"step_{i}.safetensors" for i in (0, 2, 3)]
