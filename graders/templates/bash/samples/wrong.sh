largest=0 # 0 is larger than any negative number
count=0
for number in $(cat); do
    if ((number > largest)); then largest=$number; fi
    count=$((count + 1))
done
if ((count > 0)); then echo "$largest"; else echo none; fi
