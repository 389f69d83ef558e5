"""Bringing a grader from its author to the learners.

studio            the problem to paste into Studio
image_build       tier 2: the author's Dockerfile and what the sandbox needs on top
image_check       tier 2: may it grade, and is it of this directory
registry          tier 2: pushed, and pinned by digest
docker_program    the program `docker`
"""
