largest=
for number in $(cat); do
    largest=${largest:-$number}
    while ((number > largest)); do
        : # forgets to keep the larger number
    done
done
echo "${largest:-none}"
