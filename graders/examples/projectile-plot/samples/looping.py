def heights(times, speed, angle):
    height = 0
    while height >= 0:
        height += speed
