/* Part of pool.c: the additions of a checked build. Assertions on the counters abort the process, and tests can stop and delay
 * threads. */
#ifndef GPTCLI_POOL_CHECKS_H
#define GPTCLI_POOL_CHECKS_H

#include <unistd.h>

#include "native.h"

#ifdef GPTCLI_CHECK
#include <stdio.h>
#include <stdlib.h>

#define check(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "gptcli: %s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

static atomic_int held_thread = -1, held, delays;

/* For tests: the thread with this number stops before it gets its next chunk, until another number (or -1) is set. */
void gptcli_check_hold(int thread) { atomic_store(&held_thread, thread); }
/* Whether that thread has stopped. */
int gptcli_check_held(void) { return atomic_load(&held); }
/* For tests: one time in so many, a thread sleeps before it gets a chunk, and while it holds one; 0: never. */
void gptcli_check_delays(int one_in) { atomic_store(&delays, one_in); }

static void delay(void) {
    static _Thread_local uint32_t state;
    if (!state) state = (uint32_t)(uintptr_t)&state | 1;
    state = state * 1664525u + 1013904223u;
    const int one_in = atomic_load_explicit(&delays, memory_order_relaxed);
    if (one_in && (state >> 16) % (uint32_t)one_in == 0) usleep(state % 300);
}

static void check_before(const worker *me) {
    if (atomic_load(&held_thread) == me->thread) {
        atomic_store(&held, 1);
        while (atomic_load(&held_thread) == me->thread) usleep(100);
        atomic_store(&held, 0);
    }
    delay();
}
#else
#define check(condition) ((void)0)
#define check_before(me) ((void)0)
#define delay() ((void)0)
#endif

#endif
