FACTOR, SHIFT = 7, 19


def encrypt(text):
    # Takes spaces and capitals for letters, too.
    return "".join(chr((FACTOR * (ord(letter) - ord("a")) + SHIFT) % 26 + ord("a")) for letter in text)
