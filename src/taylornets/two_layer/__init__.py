"""Room of taylornets."""
