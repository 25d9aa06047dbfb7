"""Do paired tracks steer a camera better than the other ways of telling it? One backbone, one budget, every way.

    python -m benchmarks.claim --out FOLDER

See benchmarks/README.md for what is compared and how.
"""
