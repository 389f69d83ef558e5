from math import radians, sin


def heights(times, speed, angle):
    upwards = speed * sin(radians(angle))
    return [upwards * t - 9.81 * t**2 / 2 for t in times]
