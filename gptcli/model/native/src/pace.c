/* How many of the pool's threads work on a job: fewer when other programs compete for the processors.
 *
 * All threads of a phase wait for the one that holds its last chunk. When another program preempts that thread, they wait for
 * some milliseconds, which is longer than a whole step of a small model. Fewer threads are faster then: the system moves the
 * other program to the processor that became free. The best number is found by hill climbing: jobs of one kind are timed for some
 * milliseconds with one thread less, with half of the threads, or with one more, and the fastest number is kept. Results are
 * bitwise the same with any number.
 *
 * On an idle machine there are no trials with fewer threads: a trial starts only when the caller's thread was off the processor
 * for some of the time.
 */
#include "native.h"

enum {
    KINDS = 16, /* kinds of jobs that are remembered */
    WINDOW_NS = 4000000,
    WINDOW_JOBS = 4, /* a window of measurement has at least this duration, and this many jobs */
    FEWER_PAUSE = 2, /* windows before a trial with fewer threads and with more; each doubles after a failed trial */
    MORE_PAUSE = 8,
    LAST_PAUSE = 16,
};
static const double GAIN[2] = {0.88, 0.96}; /* a trial with fewer, or more, succeeds below this fraction of the time */
static const double LOSS = 1.3; /* a trial ends if its first job takes more than this many times as long */
static const double STALLED = 0.125; /* fraction of a window with the caller off the processor that starts a trial */

static pace kinds[KINDS];

/* The record of jobs of this kind (a hash); initially with all threads. */
pace *pace_of(uint64_t kind, int threads) {
    pace *p = &kinds[kind % KINDS];
    if (p->kind != kind || p->most != threads)
        *p = (pace){.kind = kind, .most = threads, .threads = threads, .pause = {FEWER_PAUSE, MORE_PAUSE}};
    return p;
}

/* Number of threads for the next job. */
int pace_threads(const pace *p) { return p->trial ? p->trial : p->threads; }

/* The number of threads to try after a window without a trial; 0: no trial. */
static int next_trial(pace *p, double stalled) {
    const int fewer = p->threads > 1 && stalled > STALLED && p->since >= p->pause[0];
    const int more = p->threads < p->most && p->since >= p->pause[1];
    if (!fewer && !more) return 0;
    p->more = more && (!fewer || !p->more); /* alternate, as either may help */
    if (p->more) return p->threads + 1;
    return p->halve ? p->threads / 2 : p->threads - 1;
}

/* End the trial, and keep the better number. */
static void end_trial(pace *p, double mean) {
    int *pause = &p->pause[p->more];
    if (mean < GAIN[p->more] * p->mean) {
        p->threads = p->trial;
        p->pause[0] = FEWER_PAUSE;
        p->pause[1] = MORE_PAUSE;
    } else {
        p->halve = !p->more && !p->halve; /* one thread less may not help where several less do */
        *pause = 2 * *pause < LAST_PAUSE ? 2 * *pause : LAST_PAUSE;
    }
    p->trial = p->since = 0;
}

/* Record a job: its duration, and how much of that time the caller's thread did not run (asleep, or preempted by another
 * program). */
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
