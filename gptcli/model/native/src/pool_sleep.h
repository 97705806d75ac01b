/* Part of pool.c: threads sleep until the number in the upper half of a state changes. This uses a futex on Linux, and condition
 * variables elsewhere. */
#ifndef GPTCLI_POOL_SLEEP_H
#define GPTCLI_POOL_SLEEP_H

#include <stdatomic.h>
#include <stdint.h>

#ifdef __linux__
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <pthread.h>
#endif

/* Groups of sleepers: the thread that called pool_run, the others that work on the job, and those that are not used for it. */
enum { CALLER = 1, HELPERS = 2, PARKED = 4 };

static _Alignas(64) atomic_int sleepers[PARKED + 1];

#ifdef __linux__
static uint32_t *number_word(_Atomic uint64_t *state) {
    return (uint32_t *)(void *)state + (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
}

/* Sleep while the upper half of the state is this number. */
static void sleep_while(_Atomic uint64_t *state, uint32_t number, int who) {
    atomic_fetch_add(&sleepers[who], 1);
    if ((uint32_t)(atomic_load(state) >> 32) == number)
        syscall(SYS_futex, number_word(state), FUTEX_WAIT_BITSET_PRIVATE, number, NULL, NULL, who);
    atomic_fetch_sub(&sleepers[who], 1);
}

static void wake(_Atomic uint64_t *state, int who, int count) {
    if (atomic_load(&sleepers[who])) syscall(SYS_futex, number_word(state), FUTEX_WAKE_BITSET_PRIVATE, count, NULL, NULL, who);
}

static void forget_sleepers(void) {}
#else
static pthread_mutex_t sleep_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken[PARKED + 1] = {
    [CALLER] = PTHREAD_COND_INITIALIZER, [HELPERS] = PTHREAD_COND_INITIALIZER, [PARKED] = PTHREAD_COND_INITIALIZER};

static void sleep_while(_Atomic uint64_t *state, uint32_t number, int who) {
    pthread_mutex_lock(&sleep_lock);
    atomic_fetch_add(&sleepers[who], 1);
    while ((uint32_t)(atomic_load(state) >> 32) == number) pthread_cond_wait(&woken[who], &sleep_lock);
    atomic_fetch_sub(&sleepers[who], 1);
    pthread_mutex_unlock(&sleep_lock);
}

static void wake(_Atomic uint64_t *state, int who, int count) {
    (void)state;
    (void)count;
    if (!atomic_load(&sleepers[who])) return;
    pthread_mutex_lock(&sleep_lock);
    pthread_cond_broadcast(&woken[who]);
    pthread_mutex_unlock(&sleep_lock);
}

static void forget_sleepers(void) {
    static const pthread_mutex_t open = PTHREAD_MUTEX_INITIALIZER;
    static const pthread_cond_t silent = PTHREAD_COND_INITIALIZER;
    sleep_lock = open;
    woken[CALLER] = woken[HELPERS] = woken[PARKED] = silent;
}
#endif

#endif
