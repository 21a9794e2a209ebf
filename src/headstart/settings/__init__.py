"""Settings: every option once; the command line, Python's keywords, estimators, docs come from it.

- `option`: what an option is: a field that says its range, its help and who reads it
- `table`: all of them, in groups; a verb's settings are one frozen value of the groups it reads
- `taking`: from a function of such a value to one of keyword arguments
"""
