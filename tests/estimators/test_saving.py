"""Saved models: predictions are equal bit for bit, and only complete taylornets files are loaded."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load as parse
from safetensors.numpy import save as pack
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import taylornets as tn

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3))
SMALL: dict[str, Any] = {"width": 8, "penalty": 1e-4, "tol": 0.1, "random_state": 0}
FRAME = pd.DataFrame(X, columns=["x", "ü", "z"])
FITTED: dict[str, Any] = {
    "regressor": lambda: tn.TaylorRegressor(**SMALL).fit(X, X[:, :2] ** 2),
    "classifier": lambda: tn.TaylorClassifier(**SMALL).fit(X, np.array(["a", "b", "c"])[np.arange(40) % 3]),
    "single precision": lambda: tn.TaylorRegressor(**SMALL).fit(X.astype(np.float32), X[:, 0]),
    "names": lambda: tn.TaylorRegressor(**SMALL).fit(FRAME, X[:, 0]),
    "kernel": lambda: tn.NTKRegressor().fit(X, X[:, 0]),
    "kernel of a finite width": lambda: tn.NTKClassifier(width=8, random_state=0).fit(X, X[:, 0] > 0),
}


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "size": X[:, 0],
            "weight": np.where(X[:, 1] > 1, np.nan, X[:, 1]),
            "kind": np.where(X[:, 2] > 0, "left", "right"),
        }
    )


def pipeline() -> Any:
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    columns = make_column_transformer(
        (numbers, ["size", "weight"]), (OneHotEncoder(handle_unknown="ignore", sparse_output=False), ["kind"])
    )
    return make_pipeline(columns, tn.TaylorRegressor(**SMALL)).fit(table(), X[:, 0])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tn.save(FITTED["kernel"](), tmp_path_factory.mktemp("model") / "model.safetensors")


@pytest.mark.parametrize("name", FITTED)
def test_loaded_models_predict_the_same_bits(name: str, tmp_path: Path):
    model = FITTED[name]()
    again = tn.load(tn.save(model, tmp_path / "new" / "model.safetensors"))
    x = FRAME if name == "names" else X
    for method in ("predict", "predict_proba"):
        if hasattr(model, method):
            np.testing.assert_array_equal(getattr(again, method)(x), getattr(model, method)(x), strict=True)
    assert repr(again) == repr(model)
    assert set(vars(again)) == set(vars(model))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["model.safetensors"]


def test_pipelines_with_their_preparation(tmp_path: Path):
    model = pipeline()
    again = tn.load(tn.save(model, tmp_path / "model"))
    new = table()
    new.loc[3, "kind"] = "never seen"
    np.testing.assert_array_equal(again.predict(new), model.predict(new), strict=True)
    assert list(again[:-1].get_feature_names_out()) == list(model[:-1].get_feature_names_out())


def test_same_model_same_bytes(tmp_path: Path):
    first, second = (tn.save(FITTED["regressor"](), tmp_path / name) for name in "ab")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("thing", "message"),
    [
        (lambda: StandardScaler().fit(X), "estimator: expected one of TaylorRegressor, .*, got StandardScaler"),
        (lambda: make_pipeline(FunctionTransformer(np.sin), tn.NTKRegressor()).fit(X, X[:, 0]),
         r"estimator\.steps\.0\.1: expected numbers, strings, .*, got a FunctionTransformer"),
        (lambda: tn.NTKRegressor(width=8, random_state=np.random.RandomState(0)).fit(X, X[:, 0]),
         r"estimator\.random_state: expected numbers, .*got a RandomState"),
    ],
)  # fmt: skip
def test_what_cannot_be_saved_is_named(thing: Any, message: str, tmp_path: Path):
    with pytest.raises(tn.ArgumentError, match=message):
        tn.save(thing(), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_models_are_fitted_first(tmp_path: Path):
    with pytest.raises(NotFittedError):
        tn.save(tn.TaylorRegressor(), tmp_path / "model")


def changed(data: bytes, **changes: object) -> bytes:
    (length,) = struct.unpack("<Q", data[:8])
    ((key, text),) = json.loads(data[8 : 8 + length])["__metadata__"].items()
    return pack(parse(data), {key: json.dumps(json.loads(text) | changes)})


BROKEN: dict[str, tuple[Any, str]] = {
    "empty": (lambda data: b"", "of 0 bytes"),
    "foreign": (lambda data: b"PK\x03\x04" + bytes(100), "which is not a model file"),
    "another's tensors": (lambda data: pack({"w": np.zeros(3)}), "which is not a model file"),
    "cut in the header": (lambda data: data[:300], "which is damaged"),
    "cut in the tensors": (lambda data: data[:-40], "which is damaged"),
    "one bit of a tensor": (lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:], "the checksum differs"),
    "one letter of the state": (lambda data: data.replace(b"NTKRegressor", b"NTKRegresses"), "the checksum differs"),
    "a parameter": (lambda data: changed(data, taylornets="9"), "the checksum differs"),
    "a later format": (
        lambda data: changed(data, format=2),
        "a model of format 1 or earlier, got .* of format 2",
    ),
    "an endless header": (lambda data: struct.pack("<Q", 2**62) + data[8:], "damaged"),
    "nested without end": (lambda data: struct.pack("<Q", 200_000) + b"[" * 200_000, "which is not a model file"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused(name: str, saved: Path, tmp_path: Path):
    damage, message = BROKEN[name]
    path = tmp_path / "model"
    path.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(tn.ArgumentError, match=f"^path: expected .*{message}"):
        tn.load(path)


def test_every_cut_is_refused(saved: Path, tmp_path: Path):
    data, path = saved.read_bytes(), tmp_path / "model"
    for length in range(0, len(data), 97):
        path.write_bytes(data[:length])
        with pytest.raises(tn.ArgumentError, match=r"^path: expected a model file written by taylornets"):
            tn.load(path)


def test_preparation_belongs_to_a_version_of_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tn.save(pipeline(), tmp_path / "model")
    kernel = tn.save(FITTED["kernel"](), tmp_path / "kernel")
    monkeypatch.setattr("sklearn.__version__", "1.0")
    with pytest.raises(
        tn.ArgumentError, match=r"path: expected a model saved with scikit-learn 1\.0, got .* Install that version"
    ):
        tn.load(path)
    assert tn.load(kernel).n_features_in_ == 3


def test_nothing_is_left_where_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tn.save(FITTED["kernel"](), tmp_path / "model")
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        tn.save(FITTED["names"](), path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["model"]
