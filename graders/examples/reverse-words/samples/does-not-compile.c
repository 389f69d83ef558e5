void reverse_words(char *line) {
    int length = strlen(line)
    return length;
}
