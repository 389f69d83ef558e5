set -euo pipefail
# Without a line, grep fails, and with it the script.
tr -s ' ' '\n' | grep . | sort -n | tail -n 1
