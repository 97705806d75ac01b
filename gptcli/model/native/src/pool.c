/* Threads that stay alive between steps, and the work that is handed out to them in chunks.
 *
 * A schedule is a list of phases, one after another. A phase is over when its last chunk is finished, and the thread that finishes
 * that chunk begins the next phase: no thread is waited for unless it holds a chunk. A thread that comes late finds the phase
 * that is present then. Until it holds a chunk it reads nothing but the variables of this file, so that a job's memory is the
 * caller's again as soon as the job is done.
 *
 * A step of a small model takes about a millisecond and has dozens of phases, so threads wait for the next one by looking
 * for a while, as waking them takes longer. They do not look for long: where other programs run too, the thread that holds
 * the chunk may need this very processor.
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

static int size;    /* threads, the caller's among them */
static pid_t owner; /* the process in which the threads live: a fork has none of them */
static pthread_mutex_t one_caller = PTHREAD_MUTEX_INITIALIZER;

/* The present phase: its number, in the upper half of `handed_out`, and how much of its work is handed out; NOTHING_LEFT behind
 * the last phase. How its work is cut stands in one of two places in turn, written before the number by the one thread that
 * begins the phase: a thread that reads there what the phase after the next has written does not find its own number any more, and is
 * handed nothing. Once the caller sees the end, no other thread writes here, and the next job may begin. */
enum { NOTHING_LEFT = INT_MAX };
static struct {
    _Alignas(LINE) _Atomic uint64_t handed_out;
    struct {
        atomic_int units, chunk, share;
    } cut[2]; /* of the work; handed out at once; a thread's own at first, or 0 */
} present_phase = {.handed_out = NOTHING_LEFT};
static _Alignas(LINE) atomic_int unfinished; /* units of work */
static atomic_int active; /* threads that work on it */
static const schedule *plan; /* these two: for threads that hold a chunk */
static int present;

/* The latest phase in which a thread's own share was handed out: to itself, or to another when all else was. */
static struct {
    _Alignas(LINE) _Atomic uint32_t phase;
} own[MOST_THREADS];

static uint32_t number_of(uint64_t state) { return (uint32_t)(state >> 32); }
static int is_over(uint64_t state) { return (uint32_t)state == NOTHING_LEFT; }
static uint64_t state_of(uint32_t number, int next) { return (uint64_t)number << 32 | (uint32_t)next; }
static uint64_t current_state(void) { return atomic_load_explicit(&present_phase.handed_out, memory_order_acquire); }

/* How the work of a phase is cut. */
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

/* Until the phase of this number is over. Most waits are short: the clock is not asked before some looks. */
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

/* What is handed out at once when so much is left, at least `least`. Large chunks first and ever smaller ones: memory is read
 * in long stretches, and yet all threads are ready at about one time (guided self-scheduling, Polychronopoulos and Kuck
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

/* Called when all phases before this one are finished. */
static int is_left_out(const phase *p) {
    return !p->n || (p->condition && atomic_load_explicit(&p->condition->result, memory_order_relaxed) != p->wanted);
}

/* Called by one thread: the caller, or who finished the last chunk of the phase before. */
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

/* The share of thread `of`, unless somebody has it already. Numbers only grow here: a thread that comes late takes no later
 * phase's share, and the one who finds its number there tries again. */
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

/* Hand the thread a chunk of the phase whose number it has: 1, or 0 when all of that phase is handed out. From then on that phase
 * stays until the thread has finished. */
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

/* This chunk, and then what else is handed out; returns how much work that was. In guided phases the next chunk is known while
 * one is worked on, so that its numbers can be asked for early. */
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

/* Work on the present phase, and wait for the next one. */
static void work_or_wait(worker *me, int who) {
    range now;
    const uint64_t state = current_state();
    me->number = number_of(state);
    me->threads = atomic_load_explicit(&active, memory_order_relaxed);
    if (me->thread >= me->threads) { /* woken when there are more (see run_with) */
        sleep_while(&present_phase.handed_out, me->number, PARKED);
        return;
    }
    if (next_chunk(me, &now)) {
        check(number_of(current_state()) == me->number);
        const phase *p = &plan->phases[present];
        use_schedule(me, plan);
        for (size_t at = 0; at < sizeof *p; at += LINE) __builtin_prefetch((const char *)(p + 1) + at); /* the next one's */
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

/* A fork may happen while another thread holds a lock, and with threads asleep that the child does not have. */
static void in_the_child(void) {
    static const pthread_mutex_t open = PTHREAD_MUTEX_INITIALIZER;
    one_caller = open;
    forget_sleepers();
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, in_the_child); }

/* The pool's threads are the process's: the first caller starts them, and later ones get what there is. Returns the number
 * that run. */
int pool_start(int threads) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&one_caller);
    if (size && owner != getpid()) size = 0; /* after a fork */
    if (!size) {
        owner = getpid();
        /* Perhaps there was a job when the process forked. */
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

/* All phases in the caller's thread. */
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

/* All phases with so many threads, of which the caller's is one. */
static void run_with(const schedule *s, int threads) {
    worker me = {.thread = 0};
    const int before = atomic_load_explicit(&active, memory_order_relaxed);
    plan = s;
    atomic_store_explicit(&active, threads, memory_order_relaxed);
    begin_phase(0);
    /* After the new phase's number: who has read the old number of threads does not fall asleep any more. */
    if (threads > before) wake(&present_phase.handed_out, PARKED, INT_MAX);
    while (!is_over(current_state())) work_or_wait(&me, CALLER);
    check(!atomic_load(&unfinished));
}

/* A hash of what decides how long a schedule takes: whose it is, and how its work is cut (FNV-1a). */
static uint64_t kind_of(const schedule *s) {
    uint64_t hash = 14695981039346656037u ^ (uint64_t)(uintptr_t)s->model;
    for (int i = 0; i < s->count; i++)
        hash = (hash ^ ((uint64_t)(uint32_t)s->phases[i].n << 32 | (uint32_t)s->phases[i].chunk)) * 1099511628211u;
    return hash ^ hash >> 32;
}

/* All phases, with as many threads as suit the processors' other work; that is noted where it is a model's schedule. Others are
 * short, and take as many as the latest one of a model. */
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
    pthread_mutex_lock(&one_caller); /* two engines in two threads of one program take turns */
    if (owner != getpid()) size = 1; /* a fork has none of the threads */
    if (size == 1) run_alone(s);
    else run_paced(s);
    pthread_mutex_unlock(&one_caller);
}

void run_phase(phase *one) { pool_run(&(schedule){.phases = one, .count = 1}); }

/* Threads that work on a schedule, at the most. */
int pool_threads(void) { return size > 1 ? size : 1; }

/* What it works on is the caller's to fill in. */
phase *add_phase(schedule *all, phase_work run, int n, int chunk_units, int guided) {
    check(all->count < all->room);
    phase *made = &all->phases[all->count++];
    *made = (phase){.run = run, .n = n, .chunk = chunk_units, .guided = guided};
    return made;
}
