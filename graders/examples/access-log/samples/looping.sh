while [ -s access.log ]; do
    sort access.log >/dev/null
done
