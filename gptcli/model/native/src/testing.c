/* Linear layers and attention on their own, for tests/native: what a step runs, without a model around it. */
#include <stdlib.h>
#include <string.h>

#include "native.h"

typedef struct {
    const kernels *k;
    linear linear;
    attention attention;
    tickets counters[8];
    float *scratch; /* [threads][scratch_floats] */
    size_t scratch_floats;
} test;

static void run(void *context, int thread, int threads) {
    test *t = context;
    worker me = {t->k, t->counters, t->scratch + thread * t->scratch_floats, thread, threads};
    if (t->linear.w) linear_run(&me, &t->linear);
    else attention_run(&me, &t->attention);
}

static int run_test(test *t) {
    const int threads = pool_start(1);
    t->scratch_floats = (t->scratch_floats + OVERREAD + 15) / 16 * 16;
    t->scratch = huge_alloc(t->scratch_floats * sizeof(float) * (size_t)threads);
    if (!t->scratch) return -1;
    pool_run(run, t);
    huge_free(t->scratch);
    return 0;
}

/* y [m, rows] = epilogue(x [m, columns] w [rows, columns]^T + bias [rows]); w is float32 and stored as `kind`. Returns 0, or -1 when
 * there is no memory. */
int gptcli_test_linear(int level, int kind, int rows, int columns, const float *w, const float *bias, const float *x, int m,
                       int prefill, int epilogue, int activation, float *y) {
    const kernels *k = kernels_for(level);
    matrix stored = {0};
    float *packed = huge_alloc(packed_floats(k, m, columns) * sizeof(float));
    int failed = !packed || matrix_alloc(&stored, kind, rows, columns) || matrix_fill(k, &stored, w, FLOAT32, 0);
    test t = {.k = k, .scratch_floats = linear_scratch(k, m, columns),
              .linear = {.w = &stored, .bias = bias, .x = x, .y = y, .stride = (size_t)rows, .packed = packed, .m = m,
                         .prefill = prefill, .epilogue = epilogue, .activation = activation}};
    failed = failed || run_test(&t);
    matrix_free(&stored);
    huge_free(packed);
    return failed ? -1 : 0;
}

/* out [m, heads * head_size] of qkv [m, 3 * heads * head_size], with the cache keys, values [row, heads, capacity, head_size] and
 * OVERREAD floats behind each. Returns 0, or -1 when there is no memory. */
int gptcli_test_attention(int level, const float *qkv, const int *rows, const int *positions, int m, int heads, int head_size,
                          int capacity, int prefill, float scale, float *keys, float *values, float *out) {
    test t = {.k = kernels_for(level), .scratch_floats = attention_scratch(capacity, head_size),
              .attention = {.qkv = qkv, .out = out, .keys = keys, .values = values, .rows = rows, .positions = positions, .m = m,
                            .heads = heads, .head_size = head_size, .capacity = capacity, .prefill = prefill, .scale = scale}};
    return run_test(&t);
}
