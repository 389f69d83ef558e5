"""What operators mend: regrades, bulk repairs, and files for scores that the LMS will not take."""
