"""What is predicted. One object a task knows it; nothing else does.

- `task`: what every task says; `registry`: their names, and which one some data are for
- `classes`, `labels`, `number`: the tasks
- `heads`: a convex head solved on features; `solvers`: the solvers of classes
- `intervals`, `figures`, `class_figures`, `label_figures`: how good, and how sure that is
- `shown`, `class_blocks`, `label_blocks`: that as tables
- `cells`: what a reader found
- `drawing`, `iterative`: which items train and which are held out
"""
