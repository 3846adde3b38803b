"""Your own target function: how many examples are required, and which model needs the fewest?

Write a function of a few coordinates below and run `python examples/your_own_target.py`. The output shows which powers the
activation can express, the norm of weights that express the target, the resulting bound of the theory, and the measured errors
of three models. It takes about a minute and requires `pip install taylornets`.
"""

import jax
import jax.numpy as jnp

import taylornets as tn

DIMENSION, WIDTH, ORDER = 15, 256, 2

# --- 1. Your target: a sum of powers of directions -------------------------------------------------------------------
# A product is a difference of squares: x_1 x_2 = ((x_1 + x_2)² - (x_1 - x_2)²)/4. Change the rows, powers and coefficients.
directions = jnp.zeros((2, DIMENSION)).at[0, :2].set(jnp.array([1.0, 1.0])).at[1, :2].set(jnp.array([1.0, -1.0]))
target = tn.targets.Polynomial(directions, (2, 2), DIMENSION / 4 * jnp.array([1.0, -1.0]))


def sphere(seed: int, n: int) -> jax.Array:
    """Inputs uniform on the unit sphere."""
    x = jax.random.normal(jax.random.key(seed), (n, DIMENSION))
    return x / jnp.linalg.norm(x, axis=1, keepdims=True)


# --- 2. Can the network express it, and at what cost? ----------------------------------------------------------------
print(tn.expressivity.table("cubic_relu", orders=(1, 2), largest=6), "\n")
prices: dict[int, float] = {}
for order in (1, ORDER):
    prices[order] = tn.expressivity.planted_norm("cubic_relu", target, order)
    print(f"order {order}: weights of norm {prices[order] ** (1 / (2 * order)):.3g} express the target")

# --- 3. What does the theory predict? --------------------------------------------------------------------------------
# The error on fresh inputs exceeds the error on n examples by at most about twice the Rademacher complexity of that ball.
net = tn.TwoLayerNetwork.init(jax.random.key(1), DIMENSION, WIDTH)
x_train, x_validation, x_test = sphere(2, 400), sphere(3, 300), sphere(4, 2000)
for order in (1, ORDER):
    radius = prices[order] ** (1 / (2 * order))
    exact = tn.generalization.rademacher(net, x_train, order=order, radius=radius, draws=20, key=jax.random.key(5))
    print(f"order {order}: complexity of that ball with 400 examples: {float(exact.mean):.3g}")
print(
    f"M_op = {float(tn.generalization.operator_norm_ratio(x_train)):.3g}, between 1/√d = {DIMENSION**-0.5:.3g} and 1\n"
)

# --- 4. What is measured? --------------------------------------------------------------------------------------------
variance = float(jnp.var(target(x_test)))


def relative(outputs: jax.Array, x: jax.Array) -> float:
    """Mean squared error relative to the variance of the target."""
    return float(jnp.mean((outputs - target(x)) ** 2)) / variance


print("examples   NTK   quadratic model   randomized network     (relative test error)")
for n in (50, 100, 200, 400):
    x, y = x_train[:n], target(x_train[:n])
    gram = tn.kernels.infinite_width_ntk("cubic_relu", x)
    paths: dict[str, list[tuple[float, float]]] = {"ntk": []}
    for coefficients in tn.kernels.kernel_ridge(gram, y).path([1e-3, 1e-4, 1e-5]):
        guesses = [tn.kernels.infinite_width_ntk("cubic_relu", new, x) @ coefficients for new in (x_validation, x_test)]
        paths["ntk"].append((relative(guesses[0], x_validation), relative(guesses[1], x_test)))
    for model in ("quadratic", "randomized"):
        paths[model] = []
        options = {"power": 4, "tol": 1e-2, "max_steps": 200, "throw": False}
        # Warm starts along the regularization path.
        for result in tn.fit_path(net, x, y, (3e-5, 3e-6, 3e-7), model=model, key=jax.random.key(6), **options):
            w = result.w
            if model == "quadratic":
                guesses = [net.term(2, w, new) for new in (x_validation, x_test)]
            else:
                guesses = [tn.randomization.Signs().mean(net, w, new) for new in (x_validation, x_test)]
            paths[model].append((relative(guesses[0], x_validation), relative(guesses[1], x_test)))
    # The penalty with the smallest validation error is selected.
    found = {model: min(pairs)[1] for model, pairs in paths.items()}
    print(f"{n:8}  {found['ntk']:5.3f}      {found['quadratic']:5.3f}              {found['randomized']:5.3f}")

# --- 5. Your turn ----------------------------------------------------------------------------------------------------
# - Double DIMENSION. Which errors stay the same if the number of examples doubles too, and which require four times as many?
# - Make the target a power of one direction: directions[:1], (4,), jnp.ones(1) * DIMENSION**2. What about power 5, and why?
# - Replace `sphere` by inputs with most of their norm in two coordinates. How do M_op and the gain change?
