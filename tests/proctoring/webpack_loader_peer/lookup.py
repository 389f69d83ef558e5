"""Runs where django-webpack-loader is: prints the address that an LMS finds for each package.

Usage: lookup.py STATS_FILE PACKAGE...
"""

import json
import sys

from django.conf import settings

settings.configure(
    INSTALLED_APPS=["webpack_loader"],
    WEBPACK_LOADER={
        "DEFAULT": {"STATS_FILE": sys.argv[1]},
        "WORKERS": {"BUNDLE_DIR_NAME": "bundles/", "STATS_FILE": sys.argv[1]},
    },
)

import django  # noqa: E402 - it needs the settings

django.setup()

from webpack_loader.exceptions import WebpackBundleLookupError  # noqa: E402 - so does this
from webpack_loader.utils import get_files  # noqa: E402


def address(package):
    """As edx-proctoring's REST backend asks for it."""
    try:
        return get_files(package, config="WORKERS")[0]["url"]
    except WebpackBundleLookupError:
        return None


sys.stdout.write(json.dumps({package: address(package) for package in sys.argv[2:]}))
