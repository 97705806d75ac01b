/* A thread pool: threads stay alive between steps, and work is handed out to them in chunks.
 *
 * A schedule is a list of phases that run one after another. A phase ends when its last chunk is finished. The thread that
 * finishes that chunk begins the next phase, so only threads that hold a chunk are waited for. A late thread joins the phase that
 * is current by then. Until a thread holds a chunk, it reads only the variables of this file, so that the caller may free a job's
 * memory as soon as the job is done.
 *
 * A step of a small model takes about a millisecond and has dozens of phases. Waking a sleeping thread takes longer than most
 * waits, so threads spin before they sleep. They spin only for a short time: when other programs run too, the thread that holds
 * the last chunk may need the spinning thread's processor.
 */
#define _GNU_SOURCE
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "native.h"
#include "pool_checks.h"
#include "pool_sleep.h"

#if defined(__x86_64__)
#define relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define relax() __asm__ volatile("yield")
#else
#define relax() ((void)0)
#endif

enum { LOOKS = 64, SPIN_NS = 50000, IDLE_SPIN_NS = 1000000, MOST_THREADS = 1024, LINE = 64 };

static int size;    /* number of threads, the caller's included */
static pid_t owner; /* the process that has the threads: a forked child has none of them */
static pthread_mutex_t one_caller = PTHREAD_MUTEX_INITIALIZER;

/* The current phase. `handed_out` holds its number in the upper half, and in the lower half how many units of work are handed
 * out, or NOTHING_LEFT after the last phase. `cut` says how its work is divided. It is double-buffered: phase n uses
 * cut[n & 1], which the thread that begins the phase writes before it publishes the number. A late thread may read a cut that
 * phase n + 2 has overwritten, but then the number in `handed_out` differs from its own, and it gets no work. Once the caller
 * sees the end, no other thread writes here, and the next job may begin. */
enum { NOTHING_LEFT = INT_MAX };
static struct {
    _Alignas(LINE) _Atomic uint64_t handed_out;
    struct {
        atomic_int units, chunk, share;
    } cut[2]; /* units in the phase; units in a chunk; units in each thread's first share, or 0 */
} present_phase = {.handed_out = NOTHING_LEFT};
static _Alignas(LINE) atomic_int unfinished; /* units of work */
static atomic_int active; /* threads that work on the job */
static const schedule *plan; /* `plan` and `present`: only threads that hold a chunk may read them */
static int present;

/* For each thread, the latest phase in which its share was claimed: by itself, or by another thread that ran out of work. */
static struct {
    _Alignas(LINE) _Atomic uint32_t phase;
} own[MOST_THREADS];

static uint32_t number_of(uint64_t state) { return (uint32_t)(state >> 32); }
static int is_over(uint64_t state) { return (uint32_t)state == NOTHING_LEFT; }
static uint64_t state_of(uint32_t number, int next) { return (uint64_t)number << 32 | (uint32_t)next; }
static uint64_t current_state(void) { return atomic_load_explicit(&present_phase.handed_out, memory_order_acquire); }

/* How the work of a phase is divided: see present_phase. */
typedef struct {
    int units, chunk, share;
} cutting;

static void write_cutting(uint32_t number, cutting how) {
    atomic_store_explicit(&present_phase.cut[number & 1].units, how.units, memory_order_release);
    atomic_store_explicit(&present_phase.cut[number & 1].chunk, how.chunk, memory_order_release);
    atomic_store_explicit(&present_phase.cut[number & 1].share, how.share, memory_order_release);
}

static cutting read_cutting(uint32_t number) {
    return (cutting){atomic_load_explicit(&present_phase.cut[number & 1].units, memory_order_acquire),
                     atomic_load_explicit(&present_phase.cut[number & 1].chunk, memory_order_acquire),
                     atomic_load_explicit(&present_phase.cut[number & 1].share, memory_order_acquire)};
}

static int64_t read_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * (int64_t)1000000000 + now.tv_nsec;
}

/* Wait until the phase with this number is over. Most waits are short, so the clock is read only every LOOKS iterations. */
static void wait_for_next(uint32_t number, int who) {
    int64_t start = 0, now = 0;
    while (now - start < (is_over(current_state()) ? IDLE_SPIN_NS : SPIN_NS)) {
        for (int looks = 0; looks < LOOKS; looks++) {
            if (number_of(current_state()) != number) return;
            relax();
        }
        now = read_ns(CLOCK_MONOTONIC);
        if (!start) start = now;
    }
    while (number_of(current_state()) == number) sleep_while(&present_phase.handed_out, number, who);
}

/* --- phases ------------------------------------------------------------------------------------------------------------ */

/* The size of the next chunk when `left` units are left, at least `least`. Chunks are large at first and get smaller: most memory
 * is read in long runs, and yet all threads finish at about the same time (guided self-scheduling, Polychronopoulos and Kuck
 * 1987). */
static int guided_chunk(int left, int least, int threads) {
    const int part = left / (2 * threads);
    return part > least ? part / least * least : least;
}

static range cut(int first, int count, int n) {
    const int from = first < n ? first : n;
    return (range){from, count < n - from ? from + count : n};
}

range own_share(const worker *me, int n, int least) {
    const int part = guided_chunk(n, least, me->threads);
    return cut(me->thread * part, part, n);
}

/* Whether a phase is skipped. Call it when all earlier phases are finished. */
static int is_left_out(const phase *p) {
    return !p->n || (p->condition && atomic_load_explicit(&p->condition->result, memory_order_relaxed) != p->wanted);
}

/* Called by one thread: the caller's, or the one that finished the last chunk of the previous phase. */
static void begin_phase(int index) {
    const uint32_t number = number_of(current_state()) + 1;
    while (index < plan->count && is_left_out(&plan->phases[index])) index++;
    const int over = index == plan->count, threads = atomic_load_explicit(&active, memory_order_relaxed);
    const phase *p = over ? &(const phase){.n = 0, .chunk = 1} : &plan->phases[index];
    const int share = p->guided ? guided_chunk(p->n, p->chunk, threads) : 0, chunks = (p->n + p->chunk - 1) / p->chunk;
    check(!atomic_load(&unfinished));
    present = index;
    atomic_store_explicit(&unfinished, p->n, memory_order_relaxed);
    write_cutting(number, (cutting){p->n, p->chunk, share});
    delay();
    atomic_store(&present_phase.handed_out, state_of(number, over ? NOTHING_LEFT : cut(0, threads * share, p->n).last));
    if (chunks > 1) wake(&present_phase.handed_out, HELPERS, chunks - 1);
    if (chunks > 1 || over) wake(&present_phase.handed_out, CALLER, 1);
}

/* Claim the share of thread `of`; 0 if it is claimed already. The numbers in `own` only grow, so a late thread cannot claim the
 * share of a later phase. Where it wrote an old number, the compare-and-exchange of the later phase's thread fails and is
 * repeated. */
static int claim_share(const worker *me, int of, range *to) {
    const cutting how = read_cutting(me->number);
    uint32_t latest = atomic_load_explicit(&own[of].phase, memory_order_relaxed);
    *to = cut(of * how.share, how.share, how.units);
    do {
        if ((int32_t)(latest - me->number) >= 0) return 0;
        check_before(me);
    } while (
        !atomic_compare_exchange_weak_explicit(&own[of].phase, &latest, me->number, memory_order_acq_rel, memory_order_relaxed));
    return to->first < to->last && number_of(current_state()) == me->number;
}

/* Get a chunk of phase me->number: 1, or 0 when all of its work is handed out. With a chunk in hand, the phase cannot end before
 * this thread has finished. */
static int next_chunk(const worker *me, range *to) {
    const cutting how = read_cutting(me->number);
    const int guided = how.share > 0;
    if (guided && claim_share(me, me->thread, to)) return 1;
    for (uint64_t state = current_state();;) {
        const int next = (int)(uint32_t)state;
        if (number_of(state) != me->number) return 0;
        if (next >= how.units) break;
        *to = cut(next, guided ? guided_chunk(how.units - next, how.chunk, me->threads) : how.chunk, how.units);
        check_before(me);
        if (atomic_compare_exchange_weak_explicit(&present_phase.handed_out, &state, state + (uint32_t)(to->last - to->first),
                                                  memory_order_acq_rel, memory_order_acquire))
            return 1;
    }
    for (int other = 1; guided && other < me->threads; other++)
        if (claim_share(me, (me->thread + other) % me->threads, to)) return 1;
    return 0;
}

/* Run this chunk and then further chunks of the phase; returns the number of units. In guided phases the next chunk is claimed
 * before the current one runs, so that its memory can be prefetched. */
static int run_chunks(worker *me, const phase *p, range now) {
    for (int finished = 0;;) {
        range then = {0, 0};
        int more = p->guided && next_chunk(me, &then);
        delay();
        p->run(me, p, now, then);
        finished += now.last - now.first;
        me->fresh = 0;
        if (!p->guided) more = next_chunk(me, &then);
        if (!more) return finished;
        now = then;
    }
}

static void use_schedule(worker *me, const schedule *s) {
    me->k = s->k;
    me->scratch = s->scratch ? s->scratch + (size_t)me->thread * s->scratch_floats : NULL;
    me->fresh = 1;
}

/* Work on the current phase, or wait for the next one. */
static void work_or_wait(worker *me, int who) {
    range now;
    const uint64_t state = current_state();
    me->number = number_of(state);
    me->threads = atomic_load_explicit(&active, memory_order_relaxed);
    if (me->thread >= me->threads) { /* woken when a job uses more threads (see run_with) */
        sleep_while(&present_phase.handed_out, me->number, PARKED);
        return;
    }
    if (next_chunk(me, &now)) {
        check(number_of(current_state()) == me->number);
        const phase *p = &plan->phases[present];
        use_schedule(me, plan);
        for (size_t at = 0; at < sizeof *p; at += LINE) __builtin_prefetch((const char *)(p + 1) + at); /* the next phase */
        const int finished = run_chunks(me, p, now);
        if (atomic_fetch_sub_explicit(&unfinished, finished, memory_order_acq_rel) == finished) begin_phase(present + 1);
    } else if (who == HELPERS || !is_over(state)) {
        wait_for_next(me->number, who);
    }
}

static void *help(void *number) {
    worker me = {.thread = (int)(intptr_t)number};
    for (;;) work_or_wait(&me, HELPERS);
    return NULL;
}

/* --- the pool ---------------------------------------------------------------------------------------------------------- */

/* Reset locks and sleepers in a forked child: another thread may have held a lock, and the sleeping threads do not exist there. */
static void in_the_child(void) {
    static const pthread_mutex_t open = PTHREAD_MUTEX_INITIALIZER;
    one_caller = open;
    forget_sleepers();
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, in_the_child); }

/* Start the pool. There is one for the process: the first call starts the threads, and later calls share them. Returns the number
 * of threads. */
int pool_start(int threads) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&one_caller);
    if (size && owner != getpid()) size = 0; /* after a fork */
    if (!size) {
        owner = getpid();
        /* A job may have been running when the process forked. */
        const uint32_t number = number_of(current_state()) + 1;
        write_cutting(number, (cutting){0, 1, 0});
        atomic_store(&present_phase.handed_out, state_of(number, NOTHING_LEFT));
        atomic_store(&unfinished, 0);
        atomic_store(&active, 0);
        atomic_store(&sleepers[CALLER], 0);
        atomic_store(&sleepers[HELPERS], 0);
        atomic_store(&sleepers[PARKED], 0);
        size = 1;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        for (int thread = 1; thread < threads && thread < MOST_THREADS; thread++) {
            pthread_t made;
            if (pthread_create(&made, &attributes, help, (void *)(intptr_t)thread)) break;
            size++;
        }
        pthread_attr_destroy(&attributes);
    }
    const int started = size;
    pthread_mutex_unlock(&one_caller);
    return started;
}

/* Run all phases in the caller's thread. */
static void run_alone(const schedule *s) {
    worker me = {.threads = 1};
    for (int i = 0; i < s->count; i++) {
        const phase *p = &s->phases[i];
        const int at_once = p->guided ? p->n : p->chunk;
        if (is_left_out(p)) continue;
        use_schedule(&me, s);
        for (range now = cut(0, at_once, p->n), then; now.first < now.last; now = then, me.fresh = 0) {
            then = cut(now.last, at_once, p->n);
            p->run(&me, p, now, then);
        }
    }
}

/* Run all phases with so many threads, the caller's included. */
static void run_with(const schedule *s, int threads) {
    worker me = {.thread = 0};
    const int before = atomic_load_explicit(&active, memory_order_relaxed);
    plan = s;
    atomic_store_explicit(&active, threads, memory_order_relaxed);
    begin_phase(0);
    /* This follows the new phase's number, so that a thread that has read the old number of threads cannot fall asleep. */
    if (threads > before) wake(&present_phase.handed_out, PARKED, INT_MAX);
    while (!is_over(current_state())) work_or_wait(&me, CALLER);
    check(!atomic_load(&unfinished));
}

/* A hash (FNV-1a) of what determines how long a schedule takes: its owner, and how its work is divided. */
static uint64_t kind_of(const schedule *s) {
    uint64_t hash = 14695981039346656037u ^ (uint64_t)(uintptr_t)s->model;
    for (int i = 0; i < s->count; i++)
        hash = (hash ^ ((uint64_t)(uint32_t)s->phases[i].n << 32 | (uint32_t)s->phases[i].chunk)) * 1099511628211u;
    return hash ^ hash >> 32;
}

/* Run all phases, with the number of threads that pace.c suggests. Only schedules of models are timed for it. Others are short,
 * and use as many threads as the latest schedule of a model. */
static void run_paced(const schedule *s) {
    static int latest;
    pace *of = s->model ? pace_of(kind_of(s), size) : NULL;
    const int threads = of ? pace_threads(of) : latest && latest < size ? latest : size;
    const int64_t start = read_ns(CLOCK_MONOTONIC), ran = read_ns(CLOCK_THREAD_CPUTIME_ID);
    if (threads == 1) run_alone(s);
    else run_with(s, threads);
    if (!of) return;
    const int64_t took = read_ns(CLOCK_MONOTONIC) - start;
    latest = threads;
    pace_note(of, took, took - (read_ns(CLOCK_THREAD_CPUTIME_ID) - ran));
}

void pool_run(const schedule *s) {
    pthread_mutex_lock(&one_caller); /* engines in several threads of a process run one at a time */
    if (owner != getpid()) size = 1; /* a forked child has none of the threads */
    if (size == 1) run_alone(s);
    else run_paced(s);
    pthread_mutex_unlock(&one_caller);
}

void run_phase(phase *one) { pool_run(&(schedule){.phases = one, .count = 1}); }

/* The most threads that work on a schedule. */
int pool_threads(void) { return size > 1 ? size : 1; }

/* Append a phase; the caller sets its arguments. */
phase *add_phase(schedule *all, phase_work run, int n, int chunk_units, int guided) {
    check(all->count < all->room);
    phase *made = &all->phases[all->count++];
    *made = (phase){.run = run, .n = n, .chunk = chunk_units, .guided = guided};
    return made;
}
