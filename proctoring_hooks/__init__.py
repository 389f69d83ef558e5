"""Proctored exams: attempts and their clock, providers, incidents, and what of it the LMS hears.

Knows nobody: what it needs of the server (storing, sending) it names as protocols in `store`.
"""
