/* pool.c for WebAssembly: one thread, which runs the phases one after another. */
#include "../src/native.h"

int pool_start(int threads) {
    (void)threads;
    return 1;
}

int pool_threads(void) { return 1; }

range own_share(const worker *me, int n, int least) {
    (void)me, (void)least;
    return (range){0, n};
}

phase *add_phase(schedule *all, phase_work run, int n, int chunk, int guided) {
    phase *made = &all->phases[all->count++];
    *made = (phase){.run = run, .n = n, .chunk = chunk, .guided = guided};
    return made;
}

/* Guided phases take their work in one piece: no other thread could take a part of it. */
static void run_chunks(worker *me, const phase *p) {
    const int most = p->guided ? p->n : p->chunk;
    for (int first = 0; first < p->n; first += most, me->fresh = 0) {
        const int last = p->n - first < most ? p->n : first + most, end = p->n - last < most ? p->n : last + most;
        p->run(me, p, (range){first, last}, (range){last, end});
    }
}

void pool_run(const schedule *s) {
    for (int i = 0; i < s->count; i++) {
        const phase *p = &s->phases[i];
        worker me = {.k = s->k, .scratch = s->scratch, .threads = 1, .fresh = 1};
        if (!p->condition || p->condition->result == p->wanted) run_chunks(&me, p);
    }
}

void run_phase(phase *one) { pool_run(&(schedule){.phases = one, .count = 1, .threads = 1}); }
