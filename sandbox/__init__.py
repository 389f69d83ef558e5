"""Runs a course team's grader against a learner's code without trusting either."""
