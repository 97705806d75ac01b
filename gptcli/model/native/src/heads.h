/* Where the heads of a token are (see `attention` in native.h), and what queries and keys go through (heads.c). */
#ifndef GPTCLI_HEADS_H
#define GPTCLI_HEADS_H

#include "native.h"

static inline int group_of(const attention *job) { return job->heads / job->kv_heads; }
static inline size_t row_floats(const attention *job) { return (size_t)(job->heads + 2 * job->kv_heads) * job->head_size; }

/* Where a token's queries, keys and values are, from head 0 on. */
static inline float *queries_at(const attention *job, int m) { return job->qkv + m * row_floats(job); }
static inline float *keys_at(const attention *job, int m) { return queries_at(job, m) + (size_t)job->heads * job->head_size; }
static inline float *values_at(const attention *job, int m) { return keys_at(job, m) + (size_t)job->kv_heads * job->head_size; }

/* Where a token's row of the cache begins, of one of its heads. */
static inline size_t cache_start(const attention *job, int m, int kv_head) {
    return ((size_t)job->rows[m] * job->kv_heads + kv_head) * job->capacity * job->head_size;
}

/* The queries, the key and the value that belong to one key head of a token: clamped, normalized, turned, and into the cache. */
void prepare_heads(const kernels *k, const attention *job, int m, int kv_head);
/* All heads of some tokens, as a phase. */
void prepare_tokens(worker *me, const phase *p, range now, range next);

#endif
