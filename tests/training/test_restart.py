"""Taylor models around a later checkpoint: the same as a run that begins there, and closer to the network."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import taylornets as tn

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(8, 3)), RNG.normal(size=(8, 1))
START = {"w": RNG.normal(size=(3, 5)), "v": RNG.normal(size=(5, 1)), "n": 2}
BATCHES = tn.training.Batches(X, Y, batch_size=4, steps=12, key=jax.random.key(0))


def model(params, x):
    return jnp.tanh(x @ params["w"]) @ params["v"]


def trained(start, batches, optimizer, **settings):
    return tn.taylorized_training(
        model, start, batches, orders=(1, 2), loss="squared", optimizer=optimizer,
        probe=tn.training.Probe(X, Y, every=4, ntk_inputs=0), **settings,
    )  # fmt: skip


def test_a_restart_is_a_run_that_begins_there(x64):
    """Without optimizer state, training from the parameters of step 4 on the remaining batches gives the same numbers."""
    found = trained(START, BATCHES, optax.sgd(0.1), restart_at=[4, 8])
    assert sorted(found.restarts) == [4, 8]
    before = trained(START, [BATCHES[i] for i in range(4)], optax.sgd(0.1))
    after = trained(before.params["full"], [BATCHES[i] for i in range(4, 12)], optax.sgd(0.1))
    again = found.restarts[4]
    assert again.history.steps == [4, 8, 12]
    for name in (1, 2):
        for part in ("w", "v"):
            np.testing.assert_allclose(again.params[name][part], after.params[name][part], rtol=1e-12)
        assert again.history.relative_distance[name][-1] == pytest.approx(
            after.history.relative_distance[name][-1], rel=1e-9
        )
    assert "from step 4, distance to full: order 1" in str(found)


def test_the_network_continues_with_its_optimizer_state(x64):
    """With momentum, the full model of a restart equals that of the whole run bit for bit."""
    found = trained(START, BATCHES, optax.sgd(0.1, momentum=0.9), restart_at=(8,))
    for part in ("w", "v"):
        np.testing.assert_array_equal(found.restarts[8].params["full"][part], found.params["full"][part])
    assert found.restarts[8].params["full"]["n"] == 2
    assert found.restarts[8].history.loss["full"][-1] == found.history.loss["full"][-1]
    assert trained(START, BATCHES, optax.sgd(0.1)).restarts == {}


@pytest.mark.parametrize("seed", [0, 1])
def test_a_restart_is_closer_to_the_network(seed, x64):
    """Theory 15: at the edge of stability, order 2 does not track a tanh network from the initialization, but it does later.

    On held-out inputs, at the end. Order 1 can diverge after a restart (for seed 1), since its sharpness is constant.
    """
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(60, 8))
    y = x[:, :1] * x[:, 1:2] + np.sin(x[:, 2:3])
    start = [rng.normal(size=shape) / np.sqrt(shape[0]) for shape in ((8, 24), (24, 24), (24, 1))]
    found = tn.taylorized_training(
        lambda p, x: jnp.tanh(jnp.tanh(x @ p[0]) @ p[1]) @ p[2], start,
        tn.training.Batches(x, y, batch_size=60, steps=300, key=jax.random.key(0)), orders=(1, 2), loss="squared",
        optimizer=optax.sgd(0.1), restart_at=[150],
        probe=tn.training.Probe(rng.normal(size=(60, 8)), y, every=300, ntk_inputs=0),
    )  # fmt: skip
    early, late = found.history, found.restarts[150].history
    for order in (1, 2) if seed == 0 else (2,):
        assert late.distance[order][-1] < early.distance[order][-1] / 5
        assert late.relative_distance[order][-1] < 0.6 * early.relative_distance[order][-1]


REFUSED = {
    "zero": ({"restart_at": [0]}, "restart_at: expected an integer ≥ 1, got 0"),
    "end": ({"restart_at": [12]}, "restart_at: expected steps below the 12 of the run, got 12"),
    "network": ({"restart_at": [2], "include_full": False}, "restart_at: expected include_full=True.*, got False"),
    "iterable": (
        {"restart_at": [2], "batches": True},
        "batches: expected a sequence with restart_at, .* got an iterable",
    ),
}


@pytest.mark.parametrize("which", REFUSED)
def test_what_is_refused(which, x64):
    settings, message = dict(REFUSED[which][0]), REFUSED[which][1]
    batches = iter(BATCHES) if settings.pop("batches", False) else BATCHES
    with pytest.raises(tn.ArgumentError, match=f"^{message}"):
        trained(START, batches, optax.sgd(0.1), **settings)


def test_a_resumed_run_has_passed_the_step(x64, tmp_path):
    keep = tn.training.Checkpointing(tmp_path / "run", every=4)
    trained(START, BATCHES, optax.sgd(0.1), checkpointing=keep)
    again = tn.training.Checkpointing(tmp_path / "run", resume=True)
    with pytest.raises(
        tn.ArgumentError, match=r"^restart_at: expected steps from 12 on, where the resumed run .* got 4"
    ):
        trained(START, BATCHES, optax.sgd(0.1), checkpointing=again, restart_at=[4])
