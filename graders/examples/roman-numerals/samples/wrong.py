def to_roman(number):
    # Knows nothing of IV, IX, XL ...
    roman = ""
    for value, letter in [(1000, "M"), (500, "D"), (100, "C"), (50, "L"), (10, "X"), (5, "V"), (1, "I")]:
        roman += letter * (number // value)
        number %= value
    return roman
