"""Taylor models of wide neural networks of any order, beyond the neural tangent kernel."""
