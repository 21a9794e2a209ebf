"""Domain adaptation: from labelled source items to unlabelled ones of a target domain.

- `norm`, `coral`, `mcc`, `dann`, `cdan`, `shot`, `pseudo`, `reweight`, `gaussian`, `translate`:
  one file a method; first its equation as a function of tensors, then its options as a small value
- `method`: what a method is; `registry`: all of them by name
- `objective`: a method as an objective of the one loop
- `domains`: the two data sets, and who may be learned from
- `kept`: a method on kept features and a linear head; `above`: on blocks that are trained
- `scores`, `choice`: which method and which epoch, without one label of the target
"""
