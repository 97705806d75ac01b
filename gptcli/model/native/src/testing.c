/* Linear layers and attention without a model, for tests/native: the same code that a step runs. */
#include <stdlib.h>

#include "native.h"

/* Run a linear layer, or attention, on all threads. Returns 0, or -1 when there is no memory. */
static int run(const kernels *k, size_t scratch_floats, const linear *a_linear, const attention *an_attention) {
    phase phases[LINEAR_PHASES + ATTENTION_PHASES];
    schedule all = {.k = k, .threads = pool_start(1), .phases = phases, .room = LINEAR_PHASES + ATTENTION_PHASES};
    all.scratch_floats = (size_t)round_up((int)scratch_floats + OVERREAD, 16);
    all.scratch = huge_alloc(all.scratch_floats * sizeof(float) * (size_t)all.threads);
    if (!all.scratch) return -1;
    if (a_linear) add_linear(&all, a_linear);
    else add_attention(&all, an_attention);
    pool_run(&all);
    huge_free(all.scratch);
    return 0;
}

/* y [m, rows] = epilogue(x [m, columns] w [rows, columns]^T + bias [rows]); w is float32 and stored as `kind`. Returns 0, or -1
 * when there is no memory. */
int gptcli_test_linear(int level, int kind, int rows, int columns, const float *w, const float *bias, const float *x, int m,
                       int prefill, int epilogue, int activation, float *y) {
    const kernels *k = kernels_for(level);
    matrix stored = {0};
    arena *memory = NULL;
    float *packed = huge_alloc(packed_floats(k, m, columns) * sizeof(float));
    float *gate = huge_alloc((size_t)m * rows * sizeof *gate);
    int failed = !packed || !gate || matrix_alloc(&stored, kind, rows, columns, &memory) ||
                 matrix_fill(k, &stored, w, FLOAT32, 0);
    const linear job = {.w = &stored,
                        .bias = bias,
                        .x = x,
                        .y = y,
                        .gate = gate,
                        .stride = (size_t)rows,
                        .packed = packed,
                        .m = m,
                        .prefill = prefill,
                        .epilogue = epilogue,
                        .activation = activation};
    failed = failed || run(k, linear_scratch(k, m, columns), &job, NULL);
    arena_free(memory);
    huge_free(packed);
    huge_free(gate);
    return failed ? -1 : 0;
}

/* Attention of any kind; OVERREAD floats follow its cache. Returns 0, or -1 when there is no memory. */
int gptcli_test_attention(int level, const attention *job) {
    attention all = *job;
    const size_t shared = attention_shared(job, pool_start(1));
    all.parts = huge_alloc(shared * sizeof *all.parts);
    const int failed = !all.parts || run(kernels_for(level), attention_scratch(job->capacity, job), NULL, &all);
    huge_free(all.parts);
    return failed ? -1 : 0;
}

/* Simulate pace.c: the number of threads that each of `jobs` equal jobs gets, used [jobs]. A job with t threads takes
 * ns[t - 1]; the caller does not run for the fraction stalled[t - 1] of that. */
void gptcli_test_pace(uint64_t kind, int threads, int jobs, const double *ns, const double *stalled, int *used) {
    pace *p = pace_of(kind, threads);
    for (int job = 0; job < jobs; job++) {
        const int now = used[job] = pace_threads(p);
        pace_note(p, (int64_t)ns[now - 1], (int64_t)(ns[now - 1] * stalled[now - 1]));
    }
}
