"""A killed run resumes bit for bit."""

import contextlib
import json
import pickle
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import killed_run
import numpy as np
import optax
import pytest
from training_problems import assert_same, cross_entropy, perceptron, sgd, taylorized

import taylornets as tn


class KilledError(Exception):
    """Raised by a callback."""


def killing(step):
    def callback(snapshot):
        if snapshot.step == step:
            raise KilledError

    return [callback]


def assert_same_run(found, expected):
    for name, params in expected.params.items():
        assert_same(found.params[name], params)
        np.testing.assert_array_equal(found.outputs[name], expected.outputs[name], strict=True)
    assert found.history == expected.history
    assert (found.status, found.steps, found.diverged) == (expected.status, expected.steps, expected.diverged)


def test_a_process_that_is_killed_at_random_moments(tmp_path):
    """Three consecutive processes, of which the first two are killed during training; seeded."""
    expected = killed_run.plain(killed_run.run())
    draw, checkpoint, seen, found = random.Random(5), tmp_path / "run", [], None
    command = [sys.executable, str(Path(killed_run.__file__)), str(checkpoint)]
    for part in (1, 2, 3):
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            seen.append(int(process.stdout.readline()))
            if part == 3:
                found = pickle.loads(process.stdout.read().split(b"done\n", 1)[1])
                break
            for _ in range(draw.randrange(2, 6)):
                process.stdout.readline()
            time.sleep(draw.random() * 0.01)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    assert found is not None
    assert seen[0] == 0
    assert seen[0] < seen[1] < seen[2] <= killed_run.STEPS  # each goes on from where the last one was
    assert_same(found[0], expected[0])
    assert found[1] == expected[1]


@pytest.fixture(scope="module")
def undisturbed():
    return train()


def train(**settings):
    problem = perceptron(steps=7)
    settings = {"evaluate_every": 2, "checkpoint_every": 3, "orders": (2,), "batches": problem.batches} | settings
    return taylorized(problem.f, problem.params, loss=cross_entropy, optimizer=sgd(), ntk_inputs=2, **settings)


@pytest.mark.parametrize("step", [4, 7])
def test_interrupted_at_a_measurement(step, undisturbed, tmp_path):
    """Measured every second step, checkpoint every third: steps after the last checkpoint are repeated."""
    file = tmp_path / "run"
    with pytest.raises(KilledError):
        train(checkpoint=file, callbacks=killing(step))
    batches = perceptron(steps=7).batches
    # An iterator is wound forward.
    found = train(checkpoint=file, resume=True, batches=iter(batches) if step == 4 else batches)
    assert_same_run(found, undisturbed)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_run_that_is_done(undisturbed, tmp_path):
    """Without `resume` the file of another run is overwritten; resuming a finished run does no work."""
    file = tmp_path / "run"
    file.write_bytes(b"something else")
    assert_same_run(train(checkpoint=file), undisturbed)
    assert_same_run(train(checkpoint=str(file), resume=True, callbacks=killing(7)), undisturbed)


def test_resume_without_a_file_begins(undisturbed, tmp_path):
    with pytest.raises(KilledError):
        train(checkpoint=tmp_path / "new" / "run", resume=True, callbacks=killing(0))
    assert not (tmp_path / "new").exists()


def mixed_model(params, x):
    hidden = jnp.tanh(x.astype(jnp.bfloat16) @ params["bfloat16"])
    return (hidden.astype(jnp.float16) @ params["float16"]).astype(jnp.float32) + params["float32"]


def test_leaves_of_all_kinds(tmp_path):
    """Float16 parameters with float32 moments, and a typed key in the optimizer state."""
    optimizer = optax.chain(
        optax.add_noise(0.1, 0.5, key=jax.random.key(1)), optax.scale_by_adam(mu_dtype=jnp.float32, eps=1e-4),
        optax.sgd(0.01, momentum=0.9),
    )  # fmt: skip
    rng = np.random.default_rng(2)
    params = {
        kind: jnp.asarray(rng.normal(size=shape) / 2, kind)
        for kind, shape in {"bfloat16": (3, 5), "float16": (5, 4), "float32": (4,)}.items()
    }

    def run(**settings):
        return taylorized(
            mixed_model, params, perceptron(steps=5).batches, orders=(), loss=cross_entropy,
            optimizer=optimizer, evaluate_every=2, ntk_inputs=0, **settings,
        )  # fmt: skip

    expected, file = run(), tmp_path / "run"
    assert not expected.diverged
    with pytest.raises(KilledError):
        run(checkpoint=file, callbacks=killing(4))
    found = run(checkpoint=file, resume=True)
    assert_same_run(found, expected)
    assert {kind: str(leaf.dtype) for kind, leaf in found.params["full"].items()} == {kind: kind for kind in params}


def test_a_model_that_diverged_stays_so(tmp_path):
    problem = perceptron(steps=6)
    data = [(x, y) for x, y in problem.batches]
    data[1] = (data[1][0] * np.inf, data[1][1])

    def run(**settings):
        return taylorized(
            problem.f, problem.params, data, orders=(1,), loss=cross_entropy, optimizer=sgd(), evaluate_every=1,
            ntk_inputs=0, **settings,
        )  # fmt: skip

    expected, file = run(), tmp_path / "run"
    assert set(expected.status.values()) == {"diverged in step 2; the last finite state is kept"}
    assert np.isnan(expected.history.train_loss["full"][1])
    with pytest.raises(KilledError):
        run(checkpoint=file, callbacks=killing(4))
    found = run(checkpoint=file, resume=True)
    for name in expected.params:
        assert_same(found.params[name], expected.params[name])
    assert found.status == expected.status
    assert repr(found.history) == repr(expected.history)  # NaN differs from NaN, but is written alike


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The bytes of a checkpoint after step 3."""
    file = tmp_path_factory.mktemp("kept") / "run"
    with contextlib.suppress(KilledError):
        train(checkpoint=file, callbacks=killing(4))
    return file.read_bytes()


def with_head(data, change):
    head, rest = data.split(b"\n", 1)
    return json.dumps(change(json.loads(head))).encode() + b"\n" + rest


DAMAGE = {
    "empty": (lambda data: b"", "which is not a checkpoint. Choose another file"),
    "text": (lambda data: b"hello\nworld", "which is not a checkpoint. Choose another file"),
    "a list": (lambda data: b"[1]\n", "which is not a checkpoint. Choose another file"),
    "other format": (lambda data: data.replace(b"training/1", b"training/9"), "which is not a checkpoint. Choose another file"),
    "without an identity": (
        lambda data: with_head(data, lambda head: {"format": head["format"]}), "which is not a checkpoint. Choose another file"
    ),
    "head alone": (lambda data: data.split(b"\n", 1)[0] + b"\n", r"which is damaged \(.*\). Restart with resume=False"),
    "half": (lambda data: data[: len(data) // 2], r"which is (damaged|none)"),
    "last byte missing": (lambda data: data[:-1], r"which is damaged \(.*\). Restart with resume=False"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_cannot_be_used(damage, kept, tmp_path):
    change, message = DAMAGE[damage]
    file = tmp_path / "run"
    file.write_bytes(change(kept))
    with pytest.raises(
        tn.ArgumentError, match=f"checkpointing: expected a checkpoint of this run, got .*run, {message}"
    ):
        train(checkpoint=file, resume=True)


def other(**changes):
    problem = perceptron(steps=7)
    settings = {
        "params": problem.params, "batches": problem.batches, "orders": (2,), "optimizer": sgd(), "key": None,
    } | changes  # fmt: skip
    return lambda file: taylorized(
        problem.f, loss=cross_entropy, ntk_inputs=2, checkpoint=file, resume=True, **settings
    )


def other_start():
    params = perceptron().params
    return [params[0], params[1] | {"b": params[1]["b"] + 1}]


def other_batches():
    batches = perceptron(steps=7).batches
    return tn.training.Batches(batches.x, batches.y, batch_size=8, steps=7, key=jax.random.key(4))


OTHERS = {
    "another initialization": (lambda: other(params=other_start()), "initial parameters at 1.b"),
    "other orders": (lambda: other(orders=(3,)), "models"),
    "other data": (lambda: other(batches=other_batches()), "first batch"),
    "another probe set": (lambda: other(probe=perceptron().batches[1]), "probe set"),
    "another optimizer": (lambda: other(optimizer=optax.adam(0.1)), "optimizer"),
    "another key": (lambda: other(key=jax.random.key(0)), "key"),
}


@pytest.mark.parametrize("which", OTHERS)
def test_a_file_of_another_run(which, kept, tmp_path):
    build, message = OTHERS[which]
    file = tmp_path / "run"
    file.write_bytes(kept)
    with pytest.raises(
        tn.ArgumentError, match=f"got .*run, which differs in the {message}. Restart with resume=False, or choose"
    ):
        build()(file)
