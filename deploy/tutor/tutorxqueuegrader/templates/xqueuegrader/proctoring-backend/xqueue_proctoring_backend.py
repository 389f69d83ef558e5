"""All that an LMS needs to have this queue for its proctoring provider: edx-proctoring looks for
backends by name, and its own REST client has none."""

from edx_proctoring.backends.rest import BaseRestProctoringProvider


class XQueue(BaseRestProctoringProvider):
    """Its settings are `PROCTORING_BACKENDS["xqueue"]`."""

    base_url = ""
    verbose_name = "XQueue"

    def get_javascript(self):
        """The script that exam pages load comes from the queue: nothing is built into the LMS."""
        return f"{self.base_url}/worker/xqueue-proctoring-worker.js"
