"""Proctoring providers: what each is told of an attempt, how, and what its answers mean.

`base` is what a plug-in is; the others are the ones that come along. How to write another is in
docs/how-to/writing-a-provider.md.
"""
