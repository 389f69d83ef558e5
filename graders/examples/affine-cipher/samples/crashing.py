FACTOR, SHIFT = 7, 19


def encrypt(text):
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [letters[FACTOR * letters.index(letter) + SHIFT] for letter in text]
