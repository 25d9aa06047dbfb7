"""The verbs of the command line, one a file: the arguments of `run` are its options. Imported on use, by `cli`."""
