set -eu
log=$LOG
cut -d ' ' -f 1 "$log" | sort | uniq -c
