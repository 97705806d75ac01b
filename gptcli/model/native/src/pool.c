/* Threads that stay alive between steps, and the barrier at which they meet.
 *
 * A step of a small model takes less than a millisecond and has dozens of barriers, so threads wait for one another by
 * looking, not by sleeping; when nothing comes for a while they give their turn away, and then sleep.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "native.h"

#if defined(__x86_64__)
#define relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define relax() __asm__ volatile("yield")
#else
#define relax() ((void)0)
#endif

/* A millisecond of looking, then turns given away, then sleep. Looks are no measure of time: a pause takes 3 cycles on one
 * processor and 140 on another, and whoever falls asleep between two tokens takes long to wake. */
enum { LOOKS = 1000, LOOKING_NS = 1000000, TURNS = 200 };

static int size; /* threads, the caller's among them */
static pid_t owner; /* the process in which the threads live: a fork has none of them */
static job current;
static void *context_of;
static atomic_int round_number, arrived, generation;
static atomic_int sleepers;
static pthread_mutex_t door = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t bell = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t one_caller = PTHREAD_MUTEX_INITIALIZER;

/* A fork may happen while another thread holds a lock, and with threads asleep that the child does not have. */
static void in_the_child(void) {
    static const pthread_mutex_t open = PTHREAD_MUTEX_INITIALIZER;
    static const pthread_cond_t silent = PTHREAD_COND_INITIALIZER;
    door = one_caller = open;
    bell = silent;
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, in_the_child); }

void meet(void) {
    if (size == 1) return;
    int mine = atomic_load_explicit(&generation, memory_order_acquire);
    if (atomic_fetch_add_explicit(&arrived, 1, memory_order_acq_rel) == size - 1) {
        atomic_store_explicit(&arrived, 0, memory_order_relaxed);
        atomic_fetch_add_explicit(&generation, 1, memory_order_release);
        return;
    }
    for (int looks = 0; atomic_load_explicit(&generation, memory_order_acquire) == mine; looks++) {
        if (looks < 20 * LOOKS) relax();
        else sched_yield();
    }
}

static int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

static void wait_for_round(int seen) {
    for (int64_t end = now_ns() + LOOKING_NS; now_ns() < end;)
        for (int looks = 0; looks < LOOKS; looks++) {
            if (atomic_load_explicit(&round_number, memory_order_acquire) != seen) return;
            relax();
        }
    for (int turns = 0; turns < TURNS; turns++) {
        if (atomic_load_explicit(&round_number, memory_order_acquire) != seen) return;
        sched_yield();
    }
    pthread_mutex_lock(&door);
    atomic_fetch_add(&sleepers, 1);
    while (atomic_load(&round_number) == seen) pthread_cond_wait(&bell, &door);
    atomic_fetch_sub(&sleepers, 1);
    pthread_mutex_unlock(&door);
}

static void *live(void *number) {
    int thread = (int)(intptr_t)number, seen = 0;
    for (;;) {
        wait_for_round(seen);
        seen++;
        current(context_of, thread, size);
        meet();
    }
    return NULL;
}

/* The pool's threads are the process's: the first caller starts them, and later ones get what there is. Returns the number
 * that run. */
int pool_start(int threads) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&one_caller);
    if (size && owner != getpid()) size = 0; /* after a fork */
    if (!size) {
        owner = getpid();
        atomic_store(&round_number, 0);
        atomic_store(&arrived, 0);
        atomic_store(&sleepers, 0);
        size = 1;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        for (int thread = 1; thread < threads; thread++) {
            pthread_t made;
            if (pthread_create(&made, &attributes, live, (void *)(intptr_t)thread)) break;
            size++;
        }
        pthread_attr_destroy(&attributes);
    }
    int running = size;
    pthread_mutex_unlock(&one_caller);
    return running;
}

void pool_run(job work, void *context) {
    pthread_mutex_lock(&one_caller); /* two engines in two threads of one program take turns */
    if (owner != getpid()) size = 1; /* a fork has none of the threads */
    current = work;
    context_of = context;
    atomic_fetch_add(&round_number, 1);
    if (atomic_load(&sleepers)) {
        pthread_mutex_lock(&door);
        pthread_cond_broadcast(&bell);
        pthread_mutex_unlock(&door);
    }
    work(context, 0, size);
    meet();
    pthread_mutex_unlock(&one_caller);
}

static int chunk_of(int n, int least) {
    const int chunk = n / (2 * size);
    return chunk > least ? chunk / least * least : least;
}

int own_chunk(int thread, int n, int least, int *first, int *last) {
    const int chunk = chunk_of(n, least), all = size * chunk < n ? size * chunk : n;
    *first = thread * chunk < n ? thread * chunk : n;
    *last = *first + chunk < n ? *first + chunk : n;
    return all;
}

int take_fewer(tickets *counter, int n, int least, int *first, int *last) {
    int at = __atomic_load_n(&counter->next, __ATOMIC_RELAXED), share;
    do {
        if (at >= n) return 0;
        share = chunk_of(n - at, least);
    } while (!__atomic_compare_exchange_n(&counter->next, &at, at + share, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    *first = at;
    *last = at + share < n ? at + share : n;
    return 1;
}

int take(tickets *counter, int n, int chunk, int *first, int *last) {
    *first = __atomic_fetch_add(&counter->next, chunk, __ATOMIC_RELAXED);
    if (*first >= n) return 0;
    *last = *first + chunk < n ? *first + chunk : n;
    return 1;
}
