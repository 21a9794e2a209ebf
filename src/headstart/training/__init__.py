"""Training: one loop that carries out any plan.

- `augment`: random views of a picture, seeded item by item
- `source`: batches of what the loop reads: pixels, or activations at the boundary
- `loop`: the loop
- `transfer`: from a data set and a strategy to a fitted model
"""
