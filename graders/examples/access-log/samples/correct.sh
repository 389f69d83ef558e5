awk '$9 < 400 { requests[$1]++ } END { for (address in requests) print requests[address], address }' access.log |
    sort -k1,1nr -k2,2 | head -n "${1:-3}"
