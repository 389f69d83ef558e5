/* A grader without a shell: calls the three commands itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(char *const *words, char *output, size_t room) {
    int ends[2], status;
    if (pipe(ends) < 0) exit(3);
    pid_t pid = fork();
    if (pid < 0) exit(3);
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv("/xq/xq", words);
        _exit(4);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], output, room - 1);
    output[got > 0 ? got : 0] = '\0';
    close(ends[0]);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 5;
}

static void must(char *const *words) {
    char nothing[16];
    if (run(words, nothing, sizeof nothing) != 0) exit(6);
}

int main(void) {
    char answer[64], text[64];
    if (run((char *[]){"xq", "job", "response", NULL}, text, sizeof text) != 0) return 7;
    int code = run((char *[]){"xq", "run", "--file", "sum.txt=/scratch/response", "--",
                              "/usr/bin/evaluate", NULL},
                   answer, sizeof answer);
    char *value = code == 0 && strcmp(answer, "5\n") == 0 ? "1" : "0";
    char *plus = strchr(text, '+');
    char *is_short = plus != NULL && strchr(plus + 1, '+') == NULL ? "2" : "0";
    must((char *[]){"xq", "report", "--id", "value", "--score", value, "--actual", answer, NULL});
    must((char *[]){"xq", "report", "--id", "short", "--score", is_short, NULL});
    must((char *[]){"xq", "done", NULL});
    return 0;
}
