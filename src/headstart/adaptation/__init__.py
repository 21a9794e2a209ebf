"""Domain adaptation: from labelled source items to unlabelled ones of a target domain.

- `norm`, `coral`, `mcc`, `dann`, `cdan`, `shot`, `pseudo`, `reweight`, `gaussian`, `translate`:
  one file a method; first its equation as a function of tensors, then its options as a small value
- `method`: what a method is; `registry`: all of them by name
- `objective`: a method as an objective of the one loop
- `domains`: the two data sets, and who may be learned from
- `space`, `statistics`: where domains are compared: kept features, each in its own statistics
- `kept`: a method on kept features and a linear head (`vectors` are what the loop reads there)
- `above`: a method on blocks that are trained; `candidates`: what each method comes to
- `styled`: source pictures in the target's style, as a data set
- `scores`, `choice`: which method and which epoch, without one label of the target
"""
