"""The way of a grade to the LMS: when it is sent, how it ends, when it is sent again."""
