/* What somebody without any right finds in an image: `xq readable PATH...`. */
#ifndef XQ_READABLE_H
#define XQ_READABLE_H

/* `words` begin with the command. Gives the exit code. */
int tell_readable(int count, char **words);

#endif
