"""The interface that old `grader.py` files import as `gradelib`, `grader_support.gradelib` and
`graderutil`, written anew.

The names and what they do follow the public documentation of openedx/xqueue-watcher (its course
team guide and its grader interface page). What differs is where things run: see
`graders.library.legacy`. The modules here are also sent beside the learner's program, as plain
files, so they import each other by their old names.
"""
