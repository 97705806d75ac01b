/* What a model expected at each position of a text: its best token, how undecided it was, and the token that came. A row of
 * logits is read where it lies, by one thread; the loops are in shortlist.h.
 *
 * Shapes: logits float32 [rows, stride], of which the first n of a row count; following, best and rank int [rows]; facts
 * double [rows, 3].
 */
#include <math.h>

#include "native.h"

enum { BEST_PROBABILITY, ENTROPY, LOGPROB, FACTS };
typedef struct {
    const kernels *k;
    const float *logits;
    size_t stride;
    int n;
    const int *following;
    int *best, *rank;
    double *facts;
} reading;

/* A row's overflow is told by a best token of -1. */
static void read_rows(worker *me, const phase *p, range now, range next) {
    (void)me, (void)next;
    const reading *r = p->other;
    for (int row = now.first; row < now.last; row++) {
        const float *x = r->logits + (size_t)row * r->stride;
        double *facts = r->facts + (size_t)row * FACTS, sums[2];
        const int following = r->following[row];
        float largest;
        if (r->k->top_k(x, r->n, 1, &r->best[row], &largest) || isinf(largest)) {
            r->best[row] = -1;
            continue;
        }
        r->k->entropy_sums(x, r->n, largest, sums);
        const double log_total = log(sums[0]), entropy = log_total - sums[1] / sums[0];
        facts[BEST_PROBABILITY] = 1 / sums[0];
        facts[ENTROPY] = entropy > 0 ? entropy : 0;
        if (following < 0) continue;
        facts[LOGPROB] = (double)x[following] - (double)largest - log_total;
        r->rank[row] = r->k->rank_of(x, r->n, following);
    }
}

/* For each row: the index of the largest logit, its probability, the entropy in nats, and for the token that follows (-1: none)
 * the natural logarithm of its probability and its rank. Returns 0, or -1 where a logit is NaN or +infinity, or a row has
 * no finite one. */
int gptcli_read_logits(const float *logits, int rows, size_t stride, int n, const int *following, int *best, int *rank,
                       double *facts) {
    reading r = {.k = kernels_for(3),
                 .logits = logits,
                 .stride = stride,
                 .n = n,
                 .following = following,
                 .best = best,
                 .rank = rank,
                 .facts = facts};
    run_phase(&(phase){.run = read_rows, .n = rows, .chunk = 1, .other = &r});
    for (int row = 0; row < rows; row++)
        if (best[row] < 0) return -1;
    return 0;
}
