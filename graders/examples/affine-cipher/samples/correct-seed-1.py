FACTOR, SHIFT = 7, 19


def encrypt(text):
    secret = ""
    for letter in text:
        if letter.isascii() and letter.isalpha():
            first = ord("a") if letter.islower() else ord("A")
            letter = chr((FACTOR * (ord(letter) - first) + SHIFT) % 26 + first)
        secret += letter
    return secret
