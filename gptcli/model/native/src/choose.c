/* What choosing a token needs of the logits: Python calls it after a step. The loops are in choose.h. */
#include <math.h>

#include "native.h"

enum { PARTS = 16 };
typedef struct {
    const kernels *k;
    const float *logits;
    int n;
    float largest;
    double sums[PARTS]; /* added up in one order, whoever made them */
} exponentials;

static void sum_parts(worker *me, const phase *job, range now, range then) {
    (void)me, (void)then;
    exponentials *e = job->other;
    const int each = (e->n + PARTS - 1) / PARTS;
    for (int part = now.first; part < now.last; part++) {
        const int first = part * each, count = e->n - first < each ? e->n - first : each;
        e->sums[part] = count > 0 ? e->k->exp_sum(e->logits + first, count, e->largest) : 0.0;
    }
}

/* The k largest of the logits [n] and their places, from the largest down, of equal ones the first; and, unless it is NULL, the
 * natural logarithm of the sum of the exponentials of all. Returns 0, or -1 where one is NaN or +infinity, or none is finite. */
int gptcli_offer(const float *logits, int n, int k, int *places, float *values, double *log_sum) {
    const kernels *with = kernels_for(3);
    if (with->largest(logits, n, k, places, values) || isinf(values[0])) return -1;
    if (!log_sum) return 0;
    exponentials e = {.k = with, .logits = logits, .n = n, .largest = values[0]};
    run_phase(&(phase){.run = sum_parts, .n = PARTS, .chunk = 1, .other = &e});
    double sum = 0;
    for (int part = 0; part < PARTS; part++) sum += e.sums[part];
    *log_sum = (double)values[0] + log(sum);
    return 0;
}
