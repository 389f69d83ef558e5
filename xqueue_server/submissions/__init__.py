"""The way of a submission: taken in, leased, graded, explained."""
