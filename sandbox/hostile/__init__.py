"""Hostile submissions and broken graders, as data, with what must come of each on every engine.

case            what a case is, and the engines there are
exhaustion … grader_faults   the cases, a module or package for each group A to G
table           all of them, in order
preludes        what every hostile program begins with
bench           what a case is tried on: a backend, a grader with a secret, a listener of the host
trying          tries one case and judges it
leftovers       what a suite left behind on this host
page            the table as a page of the reference
"""
