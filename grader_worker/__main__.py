"""`python -m grader_worker` is `grader-worker`."""

from grader_worker.cli import main

main()
