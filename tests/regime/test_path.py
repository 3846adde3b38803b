"""`regime_path` on paths whose regime is known, and on files; brute force where checkpoints are many."""

import itertools
import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as orbax
import pytest
from safetensors.numpy import save_file

import taylornets as tn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 3))


def power(degree):
    return lambda w, x: x[:, :1] * w**degree


def explained(degree, start, end, order):
    """Of w^degree: `1 − (remainder/movement)²` in closed form."""
    model = sum(math.comb(degree, k) * start ** (degree - k) * (end - start) ** k for k in range(1, order + 1))
    return 1 - ((end**degree - start**degree - model) / (end**degree - start**degree)) ** 2


def test_numbers_in_closed_form(x64):
    places = [0.1, 0.5, 1.0, 1.5, 1.9, 2.0]
    found = tn.regime_path(power(3), [np.array(w) for w in places], X, resum=8)
    for k in (1, 2):
        np.testing.assert_allclose(found.to_end[k], [explained(3, w, 2.0, k) for w in places[:-1]], rtol=1e-10)
        nexts = [explained(3, a, b, k) for a, b in itertools.pairwise(places)]
        np.testing.assert_allclose(found.to_next[k], nexts, rtol=1e-10)
    assert found.resummed[8] == pytest.approx((1.0,) * 5)
    quadratic = next(i for i, w in enumerate(places) if explained(3, w, 2.0, 2) >= 0.9)
    lazy = next(i for i, w in enumerate(places) if explained(3, w, 2.0, 1) >= 0.9)
    assert (found.since(2), found.since(1)) == (quadratic, lazy)
    assert found.verdict.startswith(f"quadratic from step {quadratic} on, lazy from step {lazy} on")
    assert found.steps == (0, 1, 2, 3, 4, 5)
    assert "to the next, 2" in str(found)


def test_a_transition_is_named(x64):
    """Slow, then a jump in one step through the bend of a steep function, then slow again."""
    places = {0: -1.0, 10: -0.9, 20: -0.8, 30: 0.8, 40: 0.9, 50: 1.0}
    found = tn.regime_path(
        lambda w, x: x[:, :1] * jnp.tanh(8 * w) + 0.5 * w, {k: np.array(w) for k, w in places.items()}, X
    )
    assert found.transitions == ((20, 30),)
    assert found.verdict == "lazy from step 30 on; steps 20–30 are a transition that no order up to 2 explains"


def test_the_table_does_not_round_up_to_the_threshold(x64):
    """Of w² from 1 to b, order 1 explains 1 − ((b − 1)/(b + 1))² = .89996, which is not 90.0 %."""
    root = math.sqrt(1 - 0.89996)
    found = tn.regime_path(power(2), [np.array(1.0), np.array((1 + root) / (1 - root))], X)
    assert found.verdict == "quadratic from the start"
    assert "< 90 %" in found.table


def test_a_thousand_checkpoints_need_forty(x64):
    """Bisection finds the same steps as all checkpoints, in closed form, with at most 40 of them read."""
    read = []

    def item(s):
        def get():
            read.append(s)
            return np.array(0.05 + 1.95 * s / 999)

        return get

    found = tn.regime_path(power(4), {10 * s: item(s) for s in range(1000)}, X)
    assert len(set(read)) <= 40
    assert len(found.steps) <= 40
    assert (found.count, found.complete) == (1000, True)
    for k in (1, 2):
        exact = next(s for s in range(999) if explained(4, 0.05 + 1.95 * s / 999, 2.0, k) >= 0.9)
        assert found.since(k) == 10 * exact


def test_ten_thousand_checkpoints(x64):
    """The budget is kept; if it does not suffice, the verdict says so."""
    path = [np.array(w) for w in np.linspace(0.01, 2, 10_000)]
    found = tn.regime_path(power(4), path, X, limit=12)
    assert len(found.steps) <= 12
    assert not found.complete
    assert found.verdict.endswith(f"(steps of evaluated checkpoints, {len(found.steps)} of 10000)")


@pytest.mark.parametrize(("f", "last"), [(power(4), 2.0), (lambda w, x: x[:, :1] * jnp.sin(w), 40.0)])
@pytest.mark.parametrize("count", [1000, 10_000])
def test_thinning_invents_no_transition(f, last, count, x64):
    """Orders 1 and 2 explain every consecutive change here; a long change between distant checkpoints does not count."""
    places = np.linspace(0.05, last, count)
    found = tn.regime_path(f, [np.array(w) for w in places], X)
    assert found.transitions == ()
    assert "transition" not in found.verdict
    read = sum(step is not None for step in found.next_steps)
    assert f"; {read} of {count - 1} changes from one checkpoint to the next were examined" in found.verdict
    assert read >= 5
    for step, after, *parts in zip(found.steps, found.next_steps, found.to_next[1], found.to_next[2], strict=False):
        assert (after is None) == math.isnan(parts[0])
        if after is not None:
            assert after == step + 1
            assert max(parts) > 0.9


def test_a_transition_between_neighbors_of_many_checkpoints(x64):
    """A jump in one step of 1000, where order 1 begins to suffice: bisection reads both sides."""
    places = np.concatenate([np.linspace(-1, -0.8, 600), np.linspace(0.8, 1, 400)])
    f = lambda w, x: x[:, :1] * jnp.tanh(8 * w) + 0.5 * w  # noqa: E731
    found = tn.regime_path(f, {10 * s: np.array(w) for s, w in enumerate(places)}, X)
    assert found.transitions == ((5990, 6000),)
    assert "steps 5990–6000 are a transition" in found.verdict


def test_files_are_read_once_if_all_are_evaluated(x64):
    read = []

    def item(s):
        return lambda: read.append(s) or np.full(1, 0.1 + s)

    tn.regime_path(lambda w, x: x[:, :1] * w**2, [item(s) for s in range(30)], X)
    assert sorted(read[1:]) == list(range(30))  # and once the first one, for its structure


def test_checkpoints_that_do_not_move(x64):
    """A repeated checkpoint and one equal to the end explain nothing and spoil nothing."""
    found = tn.regime_path(lambda w, x: x[:, :1] * w, [np.array(w) for w in (0.0, 0.0, 1.0, 2.0, 2.0)], X)
    assert math.isnan(found.to_next[1][0])
    assert math.isnan(found.to_end[1][3])
    assert found.verdict == "lazy from the start"
    still = tn.regime_path(lambda w, x: x[:, :1] * w, [np.array(1.0)] * 3, X)
    assert still.verdict == "no output change: the outputs of all evaluated checkpoints equal those at the end"
    beyond = tn.regime_path(
        lambda w, x: x[:, :1] * jnp.tanh(50 * w), [np.array(w) for w in (-1.0, 1.0)], X, max_order=1
    )
    assert beyond.verdict == (
        "the rest of training is explained by no order up to 1, from any step on; "
        "steps 0–1 are a transition that no order up to 1 explains"
    )


def perceptron(params, x):
    return jnp.tanh(x @ params["layers"][0]["w"]) @ params["v"]


def trees(count):
    start = {
        "layers": [{"w": RNG.normal(size=(3, 4)).astype("float32")}],
        "v": RNG.normal(size=(4, 2)).astype("float32"),
    }
    move = jax.tree.map(lambda a: RNG.normal(size=a.shape).astype("float32"), start)
    return [jax.tree.map(lambda a, b, s=s: a + s * b / count, start, move) for s in range(count)]


def named(tree):
    return {"layers.0.w": tree["layers"][0]["w"], "v": tree["v"]}


@pytest.mark.parametrize("kind", ["safetensors", "npz", "orbax"])
def test_checkpoints_on_disk(kind, tmp_path):
    saved, x = trees(4), X.astype("float32")
    expected = tn.regime_path(perceptron, dict(zip((0, 5, 10, 100), saved, strict=True)), x)
    for step, tree in zip((0, 5, 10, 100), saved, strict=True):
        if kind == "safetensors":
            save_file(named(tree), tmp_path / f"run2_step{step}.safetensors")
        elif kind == "npz":
            np.savez(tmp_path / f"run2_step{step}.npz", **named(tree))
        else:
            with orbax.StandardCheckpointer() as writer:
                writer.save(tmp_path / f"step_{step}", tree)
    found = tn.regime_path(perceptron, tmp_path, x, like=saved[0])
    assert found.steps == (0, 5, 10, 100)
    assert found.to_end[1] == pytest.approx(expected.to_end[1], rel=1e-5)
    assert found.to_next[2] == pytest.approx(expected.to_next[2], rel=1e-5)


@pytest.mark.parametrize(
    ("names", "steps"),
    [
        (["step_20", "step_10", "step_100"], (10, 20, 100)),
        (["epoch_2_step_10", "epoch_1_step_20", "epoch_1_step_10"], (0, 1, 2)),  # the last number repeats itself
        (["final_30", "step_10", "step_20"], (10, 20, 30)),
        (["zero", "step_10", "end"], (0, 1, 2)),  # names without numbers: the order given
    ],
)
def test_a_list_of_files_is_ordered_like_a_folder(names, steps, tmp_path):
    """The parameters in the order of training are 1, 2, 3, so that all numbers differ for any other order."""
    order = sorted(names, key=lambda name: [int(part) for part in name.split("_") if part.isdigit()])
    order = names if "zero" in names else ["step_10", "step_20", "final_30"] if "final_30" in names else order
    for value, name in enumerate(order, 1):
        np.savez(tmp_path / f"{name}.npz", w=np.full(1, value, "float32"))
    f, x, like = lambda p, x: power(3)(p["w"], x), X.astype("float32"), {"w": np.ones(1, "float32")}
    found = tn.regime_path(f, [str(tmp_path / f"{name}.npz") for name in names], x, like=like)
    assert found.steps == steps
    assert found.to_end[1] == pytest.approx([explained(3, 1, 3, 1), explained(3, 2, 3, 1)], rel=1e-4)


def test_names_of_the_folders_of_files(tmp_path):
    for step in (10, 5):
        (tmp_path / f"step_{step}").mkdir()
        np.savez(tmp_path / f"step_{step}" / "model.npz", w=np.full(1, step, "float32"))
    paths = [tmp_path / f"step_{step}" / "model.npz" for step in (10, 5)]
    found = tn.regime_path(lambda p, x: x * p["w"], paths, X.astype("float32"), like={"w": np.ones(1, "float32")})
    assert found.steps == (5, 10)


def test_only_a_few_checkpoints_are_held(x64):
    """Each tree counts itself while it lives."""
    living, most = [0], [0]

    class Counted(np.ndarray):
        def __del__(self):
            living[0] -= 1

    def item(s):
        def get():
            living[0] += 1
            most[0] = max(most[0], living[0])
            return np.full(1, 0.1 + s).view(Counted)

        return get

    tn.regime_path(lambda w, x: x[:, :1] * w**2, [item(s) for s in range(30)], X)
    assert most[0] < 8


REFUSED = {
    "one": ([np.ones(1)], "checkpoints: expected at least two, got 1. For two"),
    "none": ([], "checkpoints: expected at least two, got 0"),
    "order": ({1: np.ones(1), 0: np.ones(1)}, "checkpoints: expected ascending steps without repetition, got step 0 after 1"),
    "missing": ([np.ones(1), None, np.ones(1)], "checkpoints: expected a tree or a path for every step, got None at 1"),
    "tree": ({"w": np.ones(1), "v": np.ones(1)}, r"checkpoints: expected a sequence .* got a dict with keys .*Is it a tree\?"),
    "unclear": (["b_20.npz", "a_10.npz", "end.npz"], "checkpoints: expected paths in the order of training, or a number in "
                "each of their names, got step 10 after 20. Pass a mapping from steps to paths"),
    "no file": ({0: np.ones(1), 7: "gone.npz"}, "checkpoint 7: expected an existing path, got gone.npz, which does not exist"),
    "shape": ([np.ones(1), np.ones(2)], r"checkpoint 1 at params: expected shape \(1,\) as in the first checkpoint"),
    "NaN": ([np.ones(1), np.full(1, np.nan)], "checkpoint 1: expected .* 1 NaN of 1"),
}  # fmt: skip


@pytest.mark.parametrize("which", REFUSED)
def test_what_is_refused(which, x64):
    checkpoints, message = REFUSED[which]
    with pytest.raises(tn.ArgumentError, match=f"^{message}"):
        tn.regime_path(power(2), checkpoints, X)


def test_files_need_a_structure(tmp_path):
    for s in (0, 1):
        np.savez(tmp_path / f"{s}.npz", w=np.ones(1, "float32"))
    with pytest.raises(tn.ArgumentError, match=r"^like: expected parameters with the structure of the files, got None"):
        tn.regime_path(power(2), tmp_path, X)
    (tmp_path / "1.npz").write_text(json.dumps({}))
    with pytest.raises(tn.ArgumentError, match=r"^checkpoints: expected a readable checkpoint, got .*1\.npz"):
        tn.regime_path(
            lambda p, x: power(2)(p["w"], x), tmp_path, X.astype("float32"), like={"w": np.ones(1, "float32")}
        )
    (tmp_path / "none").mkdir()
    with pytest.raises(
        tn.ArgumentError, match=r"^checkpoints: expected files ending in \.safetensors, \.eqx or \.npz, Orbax"
    ):
        tn.regime_path(power(2), tmp_path / "none", X, like={"w": np.ones(1, "float32")})
    with pytest.raises(tn.ArgumentError, match=r"^limit: expected an integer ≥ 4, got 2"):
        tn.regime_path(power(2), [np.ones(1)] * 2, X, limit=2)
