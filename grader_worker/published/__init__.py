"""Graders that course teams published on the server: learnt, fetched and made ready before a
learner waits for them.

    server_api     what the server's /api/v1 says to a worker
    grader_cache   bundles and assignments on this host's disk, by digest and version
    assignments    which assignment grades a lease
    keeper         the thread that keeps up with the server and reports readiness
"""
