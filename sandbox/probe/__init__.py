"""A grader that does what its payload says: for `check()`, the conformance suite and tests.

script    builds such payloads and reads the answers (on the host)
grade     the grader itself; runs inside sandboxes, imports nothing of ours
"""
