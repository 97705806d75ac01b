/* The shortlist of a step: its largest logits, and the normalizer of all logits. Python calls it after a step; the loops are in
 * shortlist.h.
 *
 * Shapes: logits float32 [n], indices int [k], values float32 [k], from the largest down.
 */
#include <math.h>

#include "native.h"

enum { PARTS = 16 };
typedef struct {
    const kernels *k;
    const float *logits;
    int n;
    float largest;
    double sums[PARTS]; /* the order of summation does not depend on the number of threads */
} exponentials;

static void sum_parts(worker *me, const phase *p, range now, range next) {
    (void)me, (void)next;
    exponentials *e = p->other;
    const int each = (e->n + PARTS - 1) / PARTS;
    for (int part = now.first; part < now.last; part++) {
        const int first = part * each, count = e->n - first < each ? e->n - first : each;
        e->sums[part] = count > 0 ? e->k->exp_sum(e->logits + first, count, e->largest) : 0.0;
    }
}

/* The k largest logits and their indices; among equal logits, lower indices first. log_sum, unless it is NULL: the natural
 * logarithm of the sum of exp(logit). Returns 0, or -1 where a logit is NaN or +infinity, or none is finite. */
int gptcli_shortlist(const float *logits, int n, int k, int *indices, float *values, double *log_sum) {
    const kernels *with = kernels_for(3);
    if (with->top_k(logits, n, k, indices, values) || isinf(values[0])) return -1;
    if (!log_sum) return 0;
    exponentials e = {.k = with, .logits = logits, .n = n, .largest = values[0]};
    run_phase(&(phase){.run = sum_parts, .n = PARTS, .chunk = 1, .other = &e});
    double sum = 0;
    for (int part = 0; part < PARTS; part++) sum += e.sums[part];
    *log_sum = (double)values[0] + log(sum);
    return 0;
}
