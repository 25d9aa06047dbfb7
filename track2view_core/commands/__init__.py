"""The verbs of the command line, one a file: each has `run(arguments)`. Imported on use, by `cli`."""
