"""Features: the backbone's output at the boundary, computed once and kept.

- `engine`: run a backbone, on ONNX Runtime on a CPU and on torch on a GPU
- `extract`: from a data set to features, through the store
- `heads`: convex heads, solved on features
"""
