"""A run in a separate process that can be killed: `python killed_run.py CHECKPOINT`; prints each step and the end."""

import pickle
import sys

import jax
import numpy as np
import optax
from training_problems import cross_entropy, perceptron, sgd, taylorized

STEPS = 45


def run(checkpoint=None, callbacks=()):
    """Noise in the data and in the optimizer; measured every third step, with a checkpoint at every step."""
    problem = perceptron(steps=STEPS)
    optimizer = optax.chain(optax.add_noise(0.1, 0.5, key=jax.random.key(1)), sgd())
    return taylorized(
        problem.f, problem.params, problem.batches, orders=(1,), loss=cross_entropy, optimizer=optimizer,
        key=jax.random.key(2), augment=lambda key, x: x + 0.1 * jax.random.normal(key, x.shape), evaluate_every=3,
        checkpoint=checkpoint, checkpoint_every=1, resume=checkpoint is not None, callbacks=callbacks, together=True,
        ntk_inputs=0,
    )  # fmt: skip


def plain(found):
    """The compared values, without JAX."""
    return jax.tree.map(np.asarray, [found.params[1], found.params["full"]]), vars(found.history)


if __name__ == "__main__":

    def say(snapshot):
        sys.stdout.buffer.write(f"{snapshot.step}\n".encode())
        sys.stdout.flush()

    done = run(sys.argv[1], [say])
    sys.stdout.buffer.write(b"done\n" + pickle.dumps(plain(done)))
