"""Pre-trained networks with their preprocessing, cut into ordered blocks.

- `entry`: what is known of a backbone before any network is built (no torch here)
- `registry`: from a name to an entry; where weights are looked for
- `blocks`: the cut network: `forward_to(k)`, then `forward_from(k)`
- `look`, `cut`: where the freeze boundary may stand, found on the network's own graph
- `passage`: run the network between two boundaries; prove that the parts make the whole
- `known`: what is remembered of a network, so that it need not be built
- `surgery`: find and take off the head, fit the first convolution to other channels
- `build`: the network of any entry; `weights`: its tensors in files
- `vision`: build torchvision's, timm's and our own networks; `glyphs`: the embedded default
- `huggingface`, `encoders`, `pooling`: text encoders: their folders, their blocks
- `words`, `textnets`: text networks that are trained here
"""
