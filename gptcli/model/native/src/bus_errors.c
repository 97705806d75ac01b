/* A file that is mapped and becomes shorter: the system sends SIGBUS to the thread that reads what is gone, and there is no
 * way back. The handler says which file it was, and ends the process with 1; other causes it names, and leaves to those who
 * had the signal before.
 *
 * Only what a handler may call is called: stat, strlen, write, sigaction, raise, _exit (POSIX, signal-safety(7)).
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

static _Atomic(watched *) files; /* newest first; only ever added to */
static struct sigaction before;

static void say(const char *message) {
    ssize_t written = write(STDERR_FILENO, message, strlen(message));
    (void)written; /* there is nothing left to do about it */
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
    raise(number); /* arrives when this returns */
}

/* Say a message (a line, with its end), and exit with 1, when a bus error comes while the file at `path` has fewer than
 * `size` bytes. The first call sets the handler. Returns 0, or -1 where there is no memory. One thread at a time calls it. */
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
