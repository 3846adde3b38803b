"""Models and tokenizers from local folders of Hugging Face: config and safetensors, PEFT adapters; no downloads, no code."""

import contextlib
import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from taylornets._checks import ArgumentError, shown
from taylornets.torch._libraries import library
from taylornets.torch._states import listed

_EXPECTED = "a folder with config.json (or adapter_config.json) and safetensors"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_LONGEST = 128  # tokens of a text


def load(folder: Path | str, *, base: Path | str | None = None, pickle: bool = False, device: str = "cpu") -> Any:
    """Loads a fine-tuned model from a local folder, in evaluation mode and in the dtype in which it is stored.

    Nothing is downloaded and no code of the folder runs: the architecture must be one of transformers, and weights are read
    from safetensors. A folder with a PEFT adapter is loaded over its base and merged into it.

    Args:
        folder: a folder written by `save_pretrained`.
        base: for an adapter: the folder of its base model, by default the one that the adapter names, if it is local.
        pickle: accepts a folder that has only pickled weights (`.bin`, `.pt`), read with `weights_only=True`.
        device: such as "cpu" or "cuda".

    Returns:
        A `torch.nn.Module`.

    Raises:
        ArgumentError: for a folder without a config or without weights, with a missing shard, a damaged file, weights that are
            missing for the architecture, quantized weights, an architecture or tokenizer that needs remote code, pickles
            without `pickle=True`, or a device that is absent.
        ImportError: without transformers or peft (`pip install 'taylornets[hf]'`).

    Source: theory 14.

    Example:
        >>> import taylornets as tn
        >>> found = tn.torch.regime(tn.torch.load("before"), tn.torch.load("after"), batch)  # doctest: +SKIP
    """
    path = Path(folder)
    if not path.is_dir():
        got = f"{path}, which is not a folder" if path.exists() else f"{path}, which does not exist"
        raise ArgumentError("folder", _EXPECTED, got)
    torch = library("torch")
    if str(device).startswith("cuda") and not torch.cuda.is_available():
        raise ArgumentError(
            "device", "a device of this machine", f"{device!r}, but CUDA is not available", "Use 'cpu'."
        )
    if (path / "adapter_config.json").exists():
        return _adapter(path, base, pickle, device)
    if not (path / "config.json").exists():
        raise ArgumentError("folder", _EXPECTED, f"{path} without config.json")
    config = _json(path / "config.json")
    _refuse_code(path, config)
    if "quantization_config" in config:
        advice = "Dequantize it, or evaluate the model yourself for tn.regime_from_evaluations."
        raise ArgumentError("folder", "weights in floating point", f"{path} with quantized weights", advice)
    safe = _checked_weights(path, pickle)
    transformers = library("transformers")
    name = (config.get("architectures") or [None])[0]
    kind = getattr(transformers, str(name), None) or transformers.AutoModel
    settings: dict[str, Any] = {} if safe else {"weights_only": True}
    try:
        with _quiet():
            module, report = kind.from_pretrained(
                str(path),
                local_files_only=True,
                use_safetensors=safe,
                dtype="auto",
                output_loading_info=True,
                **settings,
            )
    except Exception as error:
        got = f"{path} ({type(error).__name__}: {' '.join(str(error).split())[:240]})"
        raise ArgumentError("folder", "a model that transformers can load", got) from error
    missing = sorted(report["missing_keys"])
    if missing:
        got = f"{path} without {listed(missing)}"
        raise ArgumentError("folder", f"all weights of {type(module).__name__}", got, "They would be random.")
    return module.to(device).eval()


@contextlib.contextmanager
def _quiet() -> Generator[None, None, None]:
    """Without the progress bar of transformers, which would precede one-line messages on standard error."""
    logging = library("transformers").utils.logging
    shows = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shows:
            logging.enable_progress_bar()


def tokenize(folder: Path | str, texts: Sequence[str], *, length: int = _LONGEST) -> dict[str, Any]:
    """Tokenizes texts with the tokenizer of a local folder, as inputs of `regime`.

    Args:
        folder: the folder; must have a tokenizer that needs no remote code.
        texts: the texts, one per example.
        length: largest number of tokens per text; longer texts are truncated.

    Returns:
        Tensors by keyword argument, such as `input_ids` and `attention_mask`, padded to one length.

    Raises:
        ArgumentError: for no texts, a folder without a tokenizer, or one that needs remote code.
        ImportError: without transformers.

    Source: theory 14.

    Example:
        >>> import taylornets as tn
        >>> batch = tn.torch.tokenize("after", ["good", "bad"])  # doctest: +SKIP
    """
    path = Path(folder)
    given: Any = texts
    if isinstance(given, str) or not len(given) or not all(isinstance(text, str) for text in given):
        few = given if isinstance(given, str) else list(given)[:3]
        raise ArgumentError("texts", "a sequence of strings, one per example", shown(few))
    settings = path / "tokenizer_config.json"
    if settings.exists():
        _refuse_code(path, _json(settings))
    library("tokenizers")
    try:
        tokenizer = library("transformers").AutoTokenizer.from_pretrained(str(path), local_files_only=True)
    except Exception as error:
        got = f"{path} ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        raise ArgumentError("folder", "a folder with a tokenizer", got) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    return dict(tokenizer(list(given), padding=True, truncation=True, max_length=length, return_tensors="pt"))


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ArgumentError(
            "folder", f"a readable {path.name}", f"{path} ({type(error).__name__}: {str(error)[:120]})"
        ) from None
    if not isinstance(found, dict):
        raise ArgumentError("folder", f"an object in {path.name}", f"a {type(found).__name__}")
    return found


def _refuse_code(path: Path, config: dict[str, Any]) -> None:
    if config.get("auto_map"):
        got = f"{path}, which needs code of its own ({shown(config['auto_map'])})"
        advice = "It is never run. Load the model yourself and pass the module to tn.torch.regime."
        raise ArgumentError("folder", "an architecture and a tokenizer of transformers", got, advice)


def _checked_weights(path: Path, pickle: bool) -> bool:
    """Checks the files with weights; returns whether they are safetensors."""
    index = path / "model.safetensors.index.json"
    if index.exists():
        shards = sorted(set(_json(index).get("weight_map", {}).values()))
        missing = [name for name in shards if not (path / str(name)).is_file()]
        if missing or not shards:
            got = f"{path} without {listed(list(map(str, missing)))}" if missing else f"{path} with an empty index"
            raise ArgumentError("folder", "all shards of the index", got, "Copy the missing files.")
        files = [path / str(name) for name in shards]
    else:
        files = [path / "model.safetensors"] if (path / "model.safetensors").is_file() else []
    for file in files:
        read_header(file)
    if files:
        return True
    pickles = sorted(file.name for file in path.iterdir() if file.suffix in _PICKLES)
    if not pickles:
        raise ArgumentError("folder", _EXPECTED, f"{path} without model.safetensors")
    if not pickle:
        advice = "Save it with safetensors, or pass pickle=True, which reads it with weights_only=True."
        raise ArgumentError("folder", "safetensors", f"{path} with pickles only ({listed(pickles[:3])})", advice)
    return False


def read_header(file: Path) -> list[str]:
    """Opens a safetensors file, which compares its header with its size, and returns the names of its tensors."""
    try:
        with library("safetensors").safe_open(str(file), framework="pt") as opened:
            return list(opened.keys())
    except Exception as error:  # SafetensorError, OSError
        got = f"{file} ({type(error).__name__}: {' '.join(str(error).split())[:160]})"
        raise ArgumentError("folder", "a valid safetensors file", got, "Is it truncated or damaged?") from None


def _adapter(path: Path, base: Path | str | None, pickle: bool, device: str) -> Any:
    config = _json(path / "adapter_config.json")
    _refuse_code(path, config)
    if not (path / "adapter_model.safetensors").is_file():
        raise ArgumentError("folder", "an adapter with adapter_model.safetensors", f"{path} without it")
    read_header(path / "adapter_model.safetensors")
    named = config.get("base_model_name_or_path")
    where = Path(base) if base is not None else Path(str(named)) if named and Path(str(named)).is_dir() else None
    if where is None:
        got = f"none; the adapter names {named!r}, which is not a local folder"
        raise ArgumentError("base", "the folder of the adapter's base model", got, "Nothing is downloaded.")
    if (where / "adapter_config.json").exists():
        raise ArgumentError("base", "a complete model", f"{where}, an adapter")
    module = load(where, pickle=pickle, device=device)
    try:
        found = library("peft").PeftModel.from_pretrained(module, str(path), local_files_only=True)
        return found.merge_and_unload().eval()
    except Exception as error:
        got = f"{path} over {where} ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
        raise ArgumentError("folder", "an adapter that fits its base", got) from error
