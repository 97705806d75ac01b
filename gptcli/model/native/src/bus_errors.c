/* The SIGBUS handler. When a mapped file is truncated, the system sends SIGBUS to the thread that reads the missing part, and the
 * process cannot continue. The handler prints which file it was, and exits with 1. For other causes it prints a message and
 * passes the signal to the previous handler.
 *
 * The handler calls only async-signal-safe functions: stat, strlen, write, sigaction, raise, _exit (POSIX, signal-safety(7)).
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct watched {
    char *path, *message;
    long long size;
    struct watched *next;
} watched;

static _Atomic(watched *) files; /* newest first; entries are never removed */
static struct sigaction before;

static void say(const char *message) {
    ssize_t written = write(STDERR_FILENO, message, strlen(message));
    (void)written; /* errors are ignored: there is no way to report them */
}

static void on_bus_error(int number) {
    for (const watched *file = atomic_load(&files); file; file = file->next) {
        struct stat now;
        if (!stat(file->path, &now) && now.st_size < file->size) {
            say(file->message);
            _exit(1);
        }
    }
    say("error: SIGBUS, and no file of the model became shorter: a disk or the memory failed, or someone sent it\n");
    sigaction(number, &before, NULL);
    raise(number); /* delivered when this handler returns */
}

/* Register a file: on a bus error while the file at `path` has fewer than `size` bytes, print the message (a line with its
 * newline) and exit with 1. The first call installs the handler. Returns 0, or -1 when there is no memory. Not thread-safe. */
int gptcli_watch(const char *path, long long size, const char *message) {
    watched *file = malloc(sizeof *file);
    if (!file) return -1;
    *file = (watched){strdup(path), strdup(message), size, atomic_load(&files)};
    if (!file->path || !file->message) {
        free(file->path);
        free(file->message);
        free(file);
        return -1;
    }
    int first = !file->next;
    atomic_store(&files, file);
    if (!first) return 0;
    struct sigaction ours = {.sa_handler = on_bus_error};
    sigemptyset(&ours.sa_mask);
    return sigaction(SIGBUS, &ours, &before);
}
