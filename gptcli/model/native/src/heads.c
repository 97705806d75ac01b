/* The preparation of queries and keys before attention, in gpt.py's order: clamp, normalize, rotate. Then keys and values are
 * written to the cache.
 *
 * Shapes as in attention.c.
 */
#include <string.h>

#include "heads.h"

#define HALF_MAX 65504.0f

/* The norm of one head; `weight` and `bias` are those of all heads. */
static void norm_head(const kernels *k, const attention *job, float *x, const float *weight, const float *bias, int head) {
    const size_t from = job->qk_norm == QK_EACH_HEAD ? (size_t)head * job->head_size : 0;
    k->norm(job->norm_kind, x, weight ? weight + from : NULL, bias ? bias + from : NULL, job->epsilon, job->head_size, x);
}

/* The queries of a group and their key, as a call gives them. */
static void take_given(const attention *job, int m, int kv_head, float *queries, float *key) {
    const size_t size = (size_t)job->head_size, group = (size_t)group_of(job), at = (size_t)(m % job->period);
    memcpy(queries, job->given_queries + (at * job->heads + kv_head * group) * size, group * size * sizeof *queries);
    memcpy(key, job->given_keys + (at * job->kv_heads + kv_head) * size, size * sizeof *key);
}

void prepare_heads(const kernels *k, const attention *job, int m, int kv_head) {
    const int size = job->head_size, group = group_of(job), position = job->positions[m], whole = job->qk_norm == QK_WHOLE;
    float *queries = queries_at(job, m) + (size_t)kv_head * group * size, *key = keys_at(job, m) + (size_t)kv_head * size;
    float *value = values_at(job, m) + (size_t)kv_head * size;
    const float *turns = job->turns ? job->turns + (size_t)position * job->rotary_dim : NULL;
    if (job->clip > 0 && !whole) {
        k->clamp(queries, group * size, job->clip);
        k->clamp(key, size, job->clip);
        k->clamp(value, size, job->clip);
    }
    if (job->qk_norm != QK_NONE && !whole) {
        for (int g = 0; g < group; g++)
            norm_head(k, job, queries + (size_t)g * size, job->q_norm, job->q_norm_bias, kv_head * group + g);
        norm_head(k, job, key, job->k_norm, job->k_norm_bias, kv_head);
    }
    if (turns) {
        for (int g = 0; g < group; g++) k->rotate(queries + (size_t)g * size, turns, job->rotary_dim / 2, job->interleaved);
        k->rotate(key, turns, job->rotary_dim / 2, job->interleaved);
    }
    if (job->growth) k->soft_cap(queries, group * size, job->growth[position], 0.0f);
    if (job->given_queries) take_given(job, m, kv_head, queries, key);
    matrix keys = cached_rows(job, job->keys, m, kv_head), values = cached_rows(job, job->values, m, kv_head);
    if (job->half) { /* half precision has no larger numbers: they would become infinite */
        k->clamp(key, size, HALF_MAX);
        k->clamp(value, size, HALF_MAX);
    }
    k->quantize_row(&keys, position, key);
    k->quantize_row(&values, position, value);
}

void prepare_tokens(worker *me, const phase *p, range now, range next) {
    const attention *job = &p->attention;
    const int queries = job->heads * job->head_size, keys = job->kv_heads * job->head_size;
    (void)next;
    for (int m = now.first; m < now.last; m++) {
        if (job->qk_norm == QK_WHOLE) {
            float *q = queries_at(job, m), *k = keys_at(job, m);
            if (job->clip > 0) me->k->clamp(q, (int)row_floats(job), job->clip);
            me->k->norm(job->norm_kind, q, job->q_norm, job->q_norm_bias, job->epsilon, queries, q);
            me->k->norm(job->norm_kind, k, job->k_norm, job->k_norm_bias, job->epsilon, keys, k);
        }
        for (int head = 0; head < job->kv_heads; head++) prepare_heads(me->k, job, m, head);
    }
}
