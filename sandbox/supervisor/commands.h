/* What a grader in any language calls: `xq run`, `xq report` and so on, over descriptor 3. */
#ifndef XQ_COMMANDS_H
#define XQ_COMMANDS_H

/* `words` begin with the command. Gives the exit code. */
int obey_command(int count, char **words);

#endif
