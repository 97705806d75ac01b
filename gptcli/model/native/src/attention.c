/* Attention over the cache: softmax(q k^T scale) v (Vaswani et al. 2017, equation 1). */
#include <string.h>

#include "native.h"

size_t attention_scratch(int capacity, int size) {
    size_t keys = round_up(capacity, NR_MAX);
    return keys * size + (size_t)MR_MAX * size + (size_t)MR_MAX * keys;
}

/* Put the new keys and values of one head where they belong in the cache. */
static void keep(const attention *job, int head) {
    const size_t width = (size_t)job->heads * job->size;
    for (int m = 0; m < job->m; m++) {
        const float *q = job->qkv + m * 3 * width + (size_t)head * job->size;
        size_t place = ((size_t)job->rows[m] * job->heads + head) * job->capacity + job->positions[m];
        memcpy(job->keys + place * job->size, q + width, job->size * sizeof *q);
        memcpy(job->values + place * job->size, q + 2 * width, job->size * sizeof *q);
    }
}

/* Each token by itself: what a step does. */
static void attend_each(worker *me, const attention *job, int head) {
    const size_t width = (size_t)job->heads * job->size;
    float *p = me->scratch;
    for (int m = 0; m < job->m; m++) {
        const int seen = job->positions[m] + 1;
        size_t start = ((size_t)job->rows[m] * job->heads + head) * job->capacity * job->size;
        me->k->scores(job->qkv + m * 3 * width + (size_t)head * job->size, job->keys + start, seen, job->size, job->scale, p);
        float sum = me->k->softmax(p, seen);
        me->k->mix(p, job->values + start, seen, job->size, 1.0f / sum, job->out + m * width + (size_t)head * job->size);
    }
}

/* A prompt: MR queries at a time against all keys they may see, as products in registers. */
static void attend_prompt(worker *me, const attention *job, int head) {
    const int mr = me->k->mr, wide = me->k->wide, size = job->size;
    const size_t width = (size_t)job->heads * size;
    size_t start = ((size_t)job->rows[0] * job->heads + head) * job->capacity * size;
    const float *keys = job->keys + start, *values = job->values + start;
    const int past = job->positions[0], all = past + job->m, most = round_up(all, wide);
    float *turned = me->scratch, *queries = turned + (size_t)round_up(job->capacity, NR_MAX) * size;
    float *p = queries + MR_MAX * size;
    for (int s = 0; s < all; s += wide)
        pack_panel(keys + (size_t)s * size, size, all - s < wide ? all - s : wide, size, 1.0f, turned + (size_t)s * size, wide);
    for (int m = 0; m < job->m; m += mr) {
        const int count = job->m - m < mr ? job->m - m : mr, seen = past + m + count;
        pack_panel(job->qkv + m * 3 * width + (size_t)head * size, 3 * width, count, size, job->scale, queries, mr);
        for (int s = 0; s < seen; s += wide)
            me->k->tile(size, queries, turned + (size_t)s * size, wide, p + s, most, mr, wide, 0);
        float factor[MR_MAX];
        for (int i = 0; i < count; i++) {
            float *row = p + (size_t)i * most;
            const int own = past + m + i + 1;
            factor[i] = 1.0f / me->k->softmax(row, own);
            memset(row + own, 0, (size_t)(seen - own) * sizeof *row);
        }
        for (int d = 0; d < size; d += wide)
            me->k->microkernel_unpacked(seen, p, most, values + d, size, job->out + m * width + (size_t)head * size + d, width, count,
                             size - d < wide ? size - d : wide);
        for (int i = 0; i < count; i++) {
            float *out = job->out + (m + i) * width + (size_t)head * size;
            for (int d = 0; d < size; d++) out[d] *= factor[i];
        }
    }
}

void attention_run(worker *me, const attention *job) {
    tickets *counter = me->phase++;
    for (int head, end; take(counter, job->heads, 1, &head, &end);) {
        keep(job, head);
        if (job->together && job->m > GEMV_MAX) attend_prompt(me, job, head);
        else attend_each(me, job, head);
    }
}
