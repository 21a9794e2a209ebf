"""Data: read what is there, look at it before training, split it.

- `reading`: from a path to a `Dataset`; `folders`, `tables` (`delimited` for CSV), `arrays` are its
  parts
- `images`, `texts`: the one preprocessing of each kind
- `scan`, `audit`: one pass over all items, and what follows from it
- `split`: what trains, what is held out, draws of few labels
"""
