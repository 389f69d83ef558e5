def to_roman(number):
    letters = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
    return letters[number + 10]
