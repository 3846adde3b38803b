"""Binary problems with trained classifiers and their generalization certificates, for the claim `generalization`.

The problems were fixed before any bound was computed: four data sets of scikit-learn and one synthetic product of signs.
Features are scaled with statistics of separate examples, so that the function class does not depend on the training data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine

import taylornets as tn
from taylornets.generalization import GeneralizationCertificate, RiskCertificate
from taylornets.learning import padded_objective, penalty_path
from taylornets.records import Table
from taylornets.reproduction.claims import ClaimContext

WIDTH, STEPS = 64, 200
ROWS, COLUMNS = 3000, 64
START = 0.1
# From strong to weak. A certificate holds uniformly over choices based on the training data, so the best one is reported.
PENALTIES = {1: (1e-1, 1e-2, 1e-3), 2: (1e-2, 1e-3, 1e-4)}
POWERS = {1: 2, 2: 4}


@dataclass(frozen=True)
class Certified:
    """A data set with Rademacher and PAC-Bayes certificates and test errors of both models, by order."""

    name: str
    examples: int
    certificates: dict[int, GeneralizationCertificate]
    test_errors: dict[int, float]
    risks: dict[int, RiskCertificate]
    risk_errors: dict[int, float]


def certificates(context: ClaimContext, names: Sequence[str]) -> list[Certified]:
    """Trains and certifies both models on the named problems of `DATA`."""
    found: list[Certified] = []
    for index, (name, load) in enumerate(DATA.items()):
        if name not in names:
            continue
        context.progress(0.6 + 0.07 * index, f"certificate: {name}")
        x, y, new, labels = (part.astype(np.float32) for part in load(context.seed))
        key = jax.random.fold_in(context.key, 100 + index)
        # Pad with zero columns, which do not affect the outputs: all problems then have one shape and compile once.
        x, new = (np.pad(part, ((0, 0), (0, COLUMNS - part.shape[1]))) for part in (x, new))
        real = np.any(x != 0, axis=0)
        net = tn.TwoLayerNetwork.init(key, COLUMNS, WIDTH, dtype=jnp.float32)
        start = START * real * jax.random.normal(key, net.w0.shape, jnp.float32) / np.sqrt(real.sum())
        proofs: dict[int, GeneralizationCertificate] = {}
        errors: dict[int, float] = {}
        risks: dict[int, RiskCertificate] = {}
        risk_errors: dict[int, float] = {}
        for order, model in ((1, "linear"), (2, "quadratic")):
            risk = padded_objective(net, x, y, model=model, loss="logistic", power=POWERS[order], padded=ROWS)
            begin = start if order == 2 else None
            for step in penalty_path(risk, PENALTIES[order], key=key, start=begin, max_steps=STEPS):
                proof = tn.generalization.certificate(net, step.w, x, y, order=order, draws=30, key=key)
                bound = tn.generalization.pac_bayes(net, step.w, x, y, order=order)
                error = float(np.mean(labels * np.asarray(net.term(order, step.w, new))[:, 0] <= 0))
                if order not in proofs or proof.bound < proofs[order].bound:
                    proofs[order], errors[order] = proof, error
                if order not in risks or bound.deterministic < risks[order].deterministic:
                    risks[order], risk_errors[order] = bound, error
        found.append(Certified(name, len(x), proofs, errors, risks, risk_errors))
    return found


def compared(certified: list[Certified]) -> dict[str, dict[str, float]]:
    """Returns bounds and test errors by data set and order, for the record."""
    return {
        f"{item.name}, order {order}": {
            "bound": item.certificates[order].bound, "test error": item.test_errors[order],
            "PAC-Bayes": item.risks[order].deterministic, "PAC-Bayes, randomized": item.risks[order].gibbs,
        }
        for item in certified
        for order in item.risks
    }  # fmt: skip


def certificates_table(certified: list[Certified], names: Mapping[int, str]) -> Table:
    """One row per data set and model; `names` are those of the orders."""
    rows: list[list[Any]] = []
    for item in certified:
        for order, model in names.items():
            found = item.certificates[order]
            parts = (found.train_risk, found.complexity, found.confidence, found.margin)
            risk, error = item.risks[order], item.risk_errors[order]
            rows.append([item.name, item.examples, model, found.bound, item.test_errors[order], *parts, found.vacuous,
                         risk.gibbs, risk.deterministic, error])  # fmt: skip
    return Table(
        "certificates",
        "Bounds on the test error of trained classifiers (valid with probability 0.95) and the measured test errors.",
        (
            "data", "training examples", "model", "bound", "test error", "train risk", "complexity", "confidence", "margin",
            "vacuous", "PAC-Bayes, randomized", "PAC-Bayes", "its test error",
        ),
        rows,
    )  # fmt: skip


def shortfall(certified: list[Certified]) -> str:
    """Describes the vacuous certificates: their size and the reason."""
    parts: list[str] = []
    for item in certified:
        found = item.certificates[2]
        if found.vacuous:
            rate = found.complexity + found.confidence
            text = f"{item.name}: {found.bound:.2f}, confidence term {found.confidence:.2f} at {item.examples} examples"
            if found.train_risk < 0.5:
                needed = item.examples * (rate / (0.5 - found.train_risk)) ** 2
                text += f"; with the same margins, about {needed:,.0f} examples would be required for a bound below 1/2"
            parts.append(text)
    if not parts:
        return "No certificate of the quadratic model is vacuous."
    return "Vacuous certificates of the quadratic model: " + ". ".join(parts) + "."


def _on_sphere(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _cancer(seed: int) -> tuple[np.ndarray, ...]:
    """569 tumors, 30 measurements: 69 for scaling only, 400 for training, 100 for testing."""
    x, labels = map(np.asarray, load_breast_cancer(return_X_y=True))
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order], 2.0 * labels[order] - 1
    x = _on_sphere((x - x[:69].mean(axis=0)) / x[:69].std(axis=0))
    return x[69:469], y[69:469], x[469:], y[469:]


def _digits(seed: int) -> tuple[np.ndarray, ...]:
    """1,797 images of 8 × 8 pixels: 1,497 for training, 300 for testing; each image is scaled individually."""
    x, digits = map(np.asarray, load_digits(return_X_y=True))
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = _on_sphere(x[order] - 8.0), 1.0 - 2 * (digits[order] % 2)
    return x[:1497], y[:1497], x[1497:], y[1497:]


def _flowers(seed: int) -> tuple[np.ndarray, ...]:
    """150 irises, 4 measurements, versicolor or not: 15 for scaling only, 105 for training, 30 for testing."""
    x, kinds = map(np.asarray, load_iris(return_X_y=True))
    return _small(seed, x, kinds, 15, 120)


def _wines(seed: int) -> tuple[np.ndarray, ...]:
    """178 wines, 13 measurements, the second cultivar or not: 18 for scaling only, 125 for training, 35 for testing."""
    x, kinds = map(np.asarray, load_wine(return_X_y=True))
    return _small(seed, x, kinds, 18, 143)


def _small(seed: int, x: np.ndarray, kinds: np.ndarray, first: int, last: int) -> tuple[np.ndarray, ...]:
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order], np.where(kinds[order] == 1, 1.0, -1.0)
    x = _on_sphere(np.pad((x - x[:first].mean(axis=0)) / x[:first].std(axis=0), [(0, 0), (0, 1)], constant_values=1.0))
    return x[first:last], y[first:last], x[last:], y[last:]


def _product(seed: int) -> tuple[np.ndarray, ...]:
    """`y = sign(x_1 x_2)` on the unit sphere of `R^10`, most of the norm on the first two coordinates; 3,000 examples."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(5_000, 10)) * 0.2
    x[:, :2] = np.sign(x[:, :2]) * (1 + 0.2 * generator.random((len(x), 2)))
    y = np.sign(x[:, 0] * x[:, 1])
    x = _on_sphere(x)
    return x[:3_000], y[:3_000], x[3_000:], y[3_000:]


DATA = {
    "breast cancer": _cancer, "digits, even or odd": _digits, "iris, versicolor or not": _flowers,
    "wine, second cultivar or not": _wines, "synthetic, sign of a product": _product,
}  # fmt: skip
