FACTOR, SHIFT = 7, 19


def encrypt(text):
    secret = ""
    at = 0
    while at < len(text):
        letter = text[at]
        if letter == ",":
            continue
        if letter.isascii() and letter.isalpha():
            first = ord("a") if letter.islower() else ord("A")
            letter = chr((FACTOR * (ord(letter) - first) + SHIFT) % 26 + first)
        secret += letter
        at += 1
    return secret
