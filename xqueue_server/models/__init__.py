"""What the server is about: submissions, callbacks, accounts and their like, as plain values with
their rules. Nothing here stores, sends or listens.
"""
