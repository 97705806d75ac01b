/* Attention over the cache: softmax(q k^T scale) v (Vaswani et al. 2017, equation 1).
 *
 * Shapes (M tokens, H heads, D head size, C = H D):
 *   qkv                [M, 3C]: query, key and value of each token, each [H, D]
 *   keys, values       [row, H, capacity, D]: the cache of this layer
 *   rows, positions    [M]: the row of the batch that each token belongs to, and its position in it
 *   out                [M, C]
 */
#include <string.h>

#include "native.h"

size_t attention_scratch(int capacity, int head_size) {
    size_t keys = round_up(capacity, NR_MAX);
    return keys * head_size + (size_t)MR_MAX * head_size + (size_t)MR_MAX * keys;
}

/* Copy the keys and values of one head from qkv into the cache. */
static void append_kv(const attention *job, int head) {
    const size_t width = (size_t)job->heads * job->head_size;
    for (int m = 0; m < job->m; m++) {
        const float *q = job->qkv + m * 3 * width + (size_t)head * job->head_size;
        size_t slot = ((size_t)job->rows[m] * job->heads + head) * job->capacity + job->positions[m];
        memcpy(job->keys + slot * job->head_size, q + width, job->head_size * sizeof *q);
        memcpy(job->values + slot * job->head_size, q + 2 * width, job->head_size * sizeof *q);
    }
}

/* Each token by itself, as a step needs it. scratch: p [position]. */
static void attend_each(worker *me, const attention *job, int head) {
    const size_t width = (size_t)job->heads * job->head_size;
    float *p = me->scratch;
    for (int m = 0; m < job->m; m++) {
        const int seen = job->positions[m] + 1;
        size_t start = ((size_t)job->rows[m] * job->heads + head) * job->capacity * job->head_size;
        me->k->attention_scores(job->qkv + m * 3 * width + (size_t)head * job->head_size, job->keys + start, seen, job->head_size,
                                job->scale, p);
        float sum = me->k->softmax_numerators(p, seen);
        me->k->attention_mix(p, job->values + start, seen, job->head_size, 1.0f / sum,
                             job->out + m * width + (size_t)head * job->head_size);
    }
}

/* A prompt: mr queries at a time against all keys that they may see, with the gemm microkernels. scratch: keys transposed
 * [position / nr][D][nr], queries [D][mr], p [mr][p_stride]. */
static void attend_prefill(worker *me, const attention *job, int head) {
    const int mr = me->k->mr, nr = me->k->nr, head_size = job->head_size;
    const size_t width = (size_t)job->heads * head_size;
    size_t start = ((size_t)job->rows[0] * job->heads + head) * job->capacity * head_size;
    const float *keys = job->keys + start, *values = job->values + start;
    const int past = job->positions[0], all = past + job->m, p_stride = round_up(all, nr);
    float *keys_t = me->scratch, *queries = keys_t + (size_t)round_up(job->capacity, NR_MAX) * head_size;
    float *p = queries + MR_MAX * head_size;
    for (int s = 0; s < all; s += nr)
        pack_panel(keys + (size_t)s * head_size, head_size, all - s < nr ? all - s : nr, head_size, 1.0f,
                   keys_t + (size_t)s * head_size, nr);
    for (int m = 0; m < job->m; m += mr) {
        const int count = job->m - m < mr ? job->m - m : mr, seen = past + m + count;
        pack_panel(job->qkv + m * 3 * width + (size_t)head * head_size, 3 * width, count, head_size, job->scale, queries, mr);
        for (int s = 0; s < seen; s += nr)
            me->k->microkernel(head_size, queries, keys_t + (size_t)s * head_size, nr, p + s, p_stride, mr, nr, 0);
        float factor[MR_MAX];
        for (int i = 0; i < count; i++) {
            float *row = p + (size_t)i * p_stride;
            const int visible = past + m + i + 1;
            factor[i] = 1.0f / me->k->softmax_numerators(row, visible);
            memset(row + visible, 0, (size_t)(seen - visible) * sizeof *row);
        }
        for (int d = 0; d < head_size; d += nr)
            me->k->microkernel_unpacked(seen, p, p_stride, values + d, head_size,
                                        job->out + m * width + (size_t)head * head_size + d, width, count,
                                        head_size - d < nr ? head_size - d : nr);
        for (int i = 0; i < count; i++) {
            float *out = job->out + (m + i) * width + (size_t)head * head_size;
            for (int d = 0; d < head_size; d++) out[d] *= factor[i];
        }
    }
}

static void attention_heads(worker *me, const phase *p, range now, range next) {
    const attention *job = &p->attention;
    (void)next;
    for (int head = now.first; head < now.last; head++) {
        append_kv(job, head);
        if (job->prefill && job->m > GEMV_MAX) attend_prefill(me, job, head);
        else attend_each(me, job, head);
    }
}

void add_attention(schedule *all, const attention *job) { add_phase(all, attention_heads, job->heads, 1, 0)->attention = *job; }
