"""The Docker backend.

settings, where     what an operator says; where the engine is
engine, attached    the engine's API and a container's stream, without the SDK
images, containers  what a reference means; what a container is made of
pulling, image_walk fetching an image by digest; what a learner could reach in it
grader_images       both, before an image grades
starting, removal   one container's way in and out
pool, minding       containers before they are needed, and what looks after them
strategy            the seam, with split_uid, split_container (and executions) and legacy behind it
backend             puts it together
"""

from sandbox.backends.docker.backend import DockerBackend
from sandbox.backends.docker.labels import LABEL
from sandbox.backends.docker.settings import GRADER_BASE_IMAGE, DockerSettings, PoolSettings

__all__ = ["GRADER_BASE_IMAGE", "LABEL", "DockerBackend", "DockerSettings", "PoolSettings"]
