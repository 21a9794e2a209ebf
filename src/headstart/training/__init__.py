"""Training: one loop that carries out any plan.

- `augment`: random views of a picture, seeded item by item
- `inputs`: what the loop reads below any boundary: pixels or tokens
- `activations`: what stands at the boundary, computed once and kept
- `objective`: what a stage minimises; `contrastive`, `l2sp`: the losses
- `reading`: a network on what it reads, in training and when it is measured
- `loop`: the loop; `checkpoint`: what survives a kill; `optimiser`, `best`, `soup`, `freezing`,
  `adapters`: its helpers
- `transfer`: from a data set and a strategy to a fitted model
"""
