"""The JavaScript that exam pages run in a worker: our own and providers' bundles, what an LMS needs
to find them, and what they may tell us.

All that comes from a learner's browser can be made up by the learner. So a worker's word says only
"somebody who knows this attempt's id is there": it moves no attempt to another status.
"""
