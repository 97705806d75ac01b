/* How many of the pool's threads work on a job: fewer where other programs want the same processors.
 *
 * All threads of a phase wait for the one that holds its last chunk. When another program takes that thread's processor, they wait
 * for some milliseconds, which is longer than a whole step of a small model. Then fewer threads are faster: the system moves
 * the other program to the processor that is given up. Which number is best is found by trying: jobs of one kind are timed
 * for some milliseconds with one thread less, with half of them, or with one more, and the fastest number stays (hill climbing). Results are the same to the
 * bit with any number.
 *
 * On a quiet machine nothing is tried: a trial with fewer threads needs a caller that did not run for some of the time.
 */
#include "native.h"

enum {
    KINDS = 16, /* kinds of jobs that are remembered */
    WINDOW_NS = 4000000,
    WINDOW_JOBS = 4, /* what is compared takes this long, and has this many jobs */
    FEWER_PAUSE = 2, /* windows before a trial with fewer threads and with more; each doubles with every such trial in vain */
    MORE_PAUSE = 8,
    LAST_PAUSE = 16,
};
static const double GAIN[2] = {0.88, 0.96}; /* a trial with fewer, or more, has to need less than this share of the time */
static const double LOSS = 1.3; /* a trial whose first job needs more than this many times as long is over */
static const double STALLED = 0.125; /* share of a window in which the caller did not run that makes it worth a trial */

static pace kinds[KINDS];

/* What is known of jobs of this kind (a hash); all threads at first. */
pace *pace_of(uint64_t kind, int threads) {
    pace *p = &kinds[kind % KINDS];
    if (p->kind != kind || p->most != threads)
        *p = (pace){.kind = kind, .most = threads, .threads = threads, .pause = {FEWER_PAUSE, MORE_PAUSE}};
    return p;
}

/* Threads for the next job. */
int pace_threads(const pace *p) { return p->trial ? p->trial : p->threads; }

/* What to try after a window without a trial: another number of threads, or 0. */
static int next_trial(pace *p, double stalled) {
    const int fewer = p->threads > 1 && stalled > STALLED && p->since >= p->pause[0];
    const int more = p->threads < p->most && p->since >= p->pause[1];
    if (!fewer && !more) return 0;
    p->more = more && (!fewer || !p->more); /* in turn, where both may help */
    if (p->more) return p->threads + 1;
    return p->halve ? p->threads / 2 : p->threads - 1;
}

/* The trial is over: the better number stays. */
static void end_trial(pace *p, double mean) {
    int *pause = &p->pause[p->more];
    if (mean < GAIN[p->more] * p->mean) {
        p->threads = p->trial;
        p->pause[0] = FEWER_PAUSE;
        p->pause[1] = MORE_PAUSE;
    } else {
        p->halve = !p->more && !p->halve; /* one less may be in vain where several less are not */
        *pause = 2 * *pause < LAST_PAUSE ? 2 * *pause : LAST_PAUSE;
    }
    p->trial = p->since = 0;
}

/* A job is done: it took so long, and for so much of that time the caller's thread did not run (it was asleep, or another program had its
 * processor). */
void pace_note(pace *p, int64_t ns, int64_t stalled_ns) {
    p->jobs++;
    p->ns += ns;
    p->stalled_ns += stalled_ns;
    const int lost = p->trial && p->jobs == 1 && (double)ns > LOSS * p->mean;
    if (!lost && (p->ns < WINDOW_NS || p->jobs < WINDOW_JOBS)) return;
    const double mean = (double)p->ns / p->jobs, stalled = (double)p->stalled_ns / (double)p->ns;
    if (p->trial) {
        end_trial(p, mean);
    } else {
        p->mean = mean;
        p->since++;
        p->trial = next_trial(p, stalled);
    }
    p->jobs = 0;
    p->ns = p->stalled_ns = 0;
}
