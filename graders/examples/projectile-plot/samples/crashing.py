def heights(times, speed, angle):
    return [speed * t / (angle - angle) for t in times]
