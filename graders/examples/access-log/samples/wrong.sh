cut -d ' ' -f 1 access.log | sort | uniq -c | sort -nr | head -n "${1:-3}" | sed 's/^ *//'
