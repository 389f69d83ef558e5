largest=$(tr -s ' ' '\n' | grep . | sort -n | tail -n 1)
echo "${largest:-none}"
