# Takes the sign for part of the text.
tr -d - | awk '{ sum += $1 } END { print sum }'
