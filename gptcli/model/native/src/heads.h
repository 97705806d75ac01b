/* Addresses of a token's heads (see `attention` in native.h), and the preparation of queries and keys (heads.c). */
#ifndef GPTCLI_HEADS_H
#define GPTCLI_HEADS_H

#include "native.h"

static inline int group_of(const attention *job) { return job->heads / job->kv_heads; }
static inline size_t row_floats(const attention *job) { return (size_t)(job->heads + 2 * job->kv_heads) * job->head_size; }

/* A token's queries, keys and values, from head 0 on. */
static inline float *queries_at(const attention *job, int m) { return job->qkv + m * row_floats(job); }
static inline float *keys_at(const attention *job, int m) { return queries_at(job, m) + (size_t)job->heads * job->head_size; }
static inline float *values_at(const attention *job, int m) { return keys_at(job, m) + (size_t)job->kv_heads * job->head_size; }

/* Offset in the cache of one head of a token's row. */
static inline size_t cache_start(const attention *job, int m, int kv_head) {
    return ((size_t)job->rows[m] * job->kv_heads + kv_head) * job->capacity * job->head_size;
}

/* The keys, or the values, of one head of a token's row in the cache as a matrix [capacity, D]: rows that the kernels read and
 * write in either precision. `cache`: keys or values of the attention job. */
static inline matrix cached_rows(const attention *job, void *cache, int m, int kv_head) {
    const size_t bytes = job->half ? sizeof(uint16_t) : sizeof(float);
    return (matrix){.data = (char *)cache + cache_start(job, m, kv_head) * bytes,
                    .rows = job->capacity,
                    .columns = job->head_size,
                    .kind = job->half ? FLOAT16 : FLOAT32,
                    .row_bytes = (size_t)job->head_size * bytes};
}

/* Prepare the queries, the key and the value of one key head of a token: clamp, normalize, rotate, and write to the cache. */
void prepare_heads(const kernels *k, const attention *job, int m, int kv_head);
/* The phase that prepares all heads of some tokens. */
void prepare_tokens(worker *me, const phase *p, range now, range next);

#endif
