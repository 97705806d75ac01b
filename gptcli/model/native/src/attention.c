/* Attention over the cache: softmax(q k^T scale) v (Vaswani et al. 2017, equation 1). */
#include <string.h>

#include "native.h"

size_t attention_scratch(int capacity, int size) {
    size_t keys = padded(capacity, WIDEST);
    return keys * size + (size_t)TALLEST * size + (size_t)TALLEST * keys;
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
static void one_by_one(worker *me, const attention *job, int head) {
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

/* A prompt: TALL queries at a time against all keys they may see, as products in registers. */
static void by_blocks(worker *me, const attention *job, int head) {
    const int tall = me->k->tall, wide = me->k->wide, size = job->size;
    const size_t width = (size_t)job->heads * size;
    size_t start = ((size_t)job->rows[0] * job->heads + head) * job->capacity * size;
    const float *keys = job->keys + start, *values = job->values + start;
    const int past = job->positions[0], all = past + job->m, most = padded(all, wide);
    float *turned = me->scratch, *queries = turned + (size_t)padded(job->capacity, WIDEST) * size;
    float *p = queries + TALLEST * size;
    for (int s = 0; s < all; s += wide)
        panel_of(keys + (size_t)s * size, size, all - s < wide ? all - s : wide, size, 1.0f, turned + (size_t)s * size, wide);
    for (int m = 0; m < job->m; m += tall) {
        const int count = job->m - m < tall ? job->m - m : tall, seen = past + m + count;
        panel_of(job->qkv + m * 3 * width + (size_t)head * size, 3 * width, count, size, job->scale, queries, tall);
        for (int s = 0; s < seen; s += wide)
            me->k->tile(size, queries, turned + (size_t)s * size, wide, p + s, most, tall, wide, 0);
        float factor[TALLEST];
        for (int i = 0; i < count; i++) {
            float *row = p + (size_t)i * most;
            const int own = past + m + i + 1;
            factor[i] = 1.0f / me->k->softmax(row, own);
            memset(row + own, 0, (size_t)(seen - own) * sizeof *row);
        }
        for (int d = 0; d < size; d += wide)
            me->k->tile_rows(seen, p, most, values + d, size, job->out + m * width + (size_t)head * size + d, width, count,
                             size - d < wide ? size - d : wide);
        for (int i = 0; i < count; i++) {
            float *out = job->out + (m + i) * width + (size_t)head * size;
            for (int d = 0; d < size; d++) out[d] *= factor[i];
        }
    }
}

static void some_heads(worker *me, const phase *p, range now, range then) {
    const attention *job = &p->attention;
    (void)then;
    for (int head = now.first; head < now.last; head++) {
        keep(job, head);
        if (job->together && job->m > MOST) by_blocks(me, job, head);
        else one_by_one(me, job, head);
    }
}

void add_attention(schedule *all, const attention *job) {
    add_phase(all, some_heads, job->heads, 1, 0)->attention = *job;
}
