/* Reverses the order of the words in `line`, in place. Words are separated by spaces. */
void reverse_words(char *line);
