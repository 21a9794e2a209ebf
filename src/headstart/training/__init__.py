"""Training: one loop that carries out any plan.

- `transfer`: from a data set and a strategy to what is `fitted`; `steps`: where blocks are trained
- `job`: what the loop is given and hands back; `loop`: the loop
- `sources`: what a stage reads; `objective`: what it minimises, with `contrastive` and `l2sp`
- `optimiser`: how weights move; `freezing`: when a block is at rest; `guard`: that nothing frozen
  moves; `batchnorm`, `adapters`
- `selection`: the items that choose the epoch; `best`, `soup`: what is chosen among; `snapshots`
- `resuming`, `checkpoint`, `interrupts`: what survives a kill, and Ctrl-C
"""
