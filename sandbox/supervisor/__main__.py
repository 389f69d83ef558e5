"""Entry point when this folder's parent is a directory given to `python3 -I -S`: the images
copy this file to `/xq/__main__.py`, so that `python3 -I -S /xq` starts the supervisor."""

from sandbox.supervisor.session import main

main()
