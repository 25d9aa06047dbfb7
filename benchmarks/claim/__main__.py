"""python -m benchmarks.claim"""

from benchmarks.claim.command import main

main()
