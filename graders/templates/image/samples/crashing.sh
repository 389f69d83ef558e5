set -u
echo "$undefined"
