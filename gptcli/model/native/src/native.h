/* Declarations that the files of this library share. Python calls only functions whose names start with gptcli_.
 *
 * Shapes as in gpt.py: M tokens computed at once, C width, H heads, D head size, V vocabulary.
 */
#ifndef GPTCLI_NATIVE_H
#define GPTCLI_NATIVE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A model's shape as Python passes it: fields of GPTConfig. library.py has the same structure, and compares ABI_VERSION and the
 * size when it loads the library. Increase ABI_VERSION with every change of this structure, of an enum whose numbers Python uses,
 * or of a function's arguments. */
enum { ABI_VERSION = 8 };
typedef struct {
    int n_layer, n_embd, n_head, kv_heads, head_size, mlp_width, vocab_size, embedding_width, activation;
    int norm_kind, norm, qk_norm, final_norm, embedding_norm, parallel_residual, shared_norm, gated, rotary_dim,
        rotary_interleaved;
    float layer_norm_epsilon, residual_scale, embedding_scale, logit_scale;
    float qkv_clip, attention_cap, logit_cap; /* 0: none */
    /* By layer: factor of the scores; window in positions, 0 for none; index of the rotary table, -1 for none. */
    const float *attention_scales;
    const int *windows, *rotary_tables;
    const float *alibi_slopes; /* [n_head], or NULL */
} gptcli_shape;

/* Enums for GPTConfig's options, and the indices of matrices and vectors; shape.py and weights.py have the same order. Matrices
 * and vectors of the whole model come first; those of each layer begin with QKV and LN_1. */
enum activation { GELU_TANH, GELU, QUICK_GELU, RELU, RELU2, SILU, MISH, TANH, SIGMOID };
enum norm_kind { LAYER_NORM, RMS_NORM, NO_NORM }; /* NO_NORM: not used by Python */
enum norm_place { PRE, POST, AFTER, SANDWICH };
enum qk_norm { QK_NONE, QK_HEAD, QK_EACH_HEAD, QK_WHOLE };
enum { EMBEDDING, UNEMBEDDING, PROJECT_IN, PROJECT_OUT, QKV, ATTENTION, GATE, UP, DOWN, ALL_MATRICES };
enum {
    POSITION,
    LN_0,
    LN_0_BIAS,
    LN_F,
    LN_F_BIAS,
    UNEMBEDDING_BIAS,
    LN_1,
    LN_1_BIAS,
    LN_1_OUT,
    LN_1_OUT_BIAS,
    LN_2,
    LN_2_BIAS,
    LN_2_OUT,
    LN_2_OUT_BIAS,
    Q_NORM,
    Q_NORM_BIAS,
    K_NORM,
    K_NORM_BIAS,
    QKV_BIAS,
    ATTENTION_BIAS,
    GATE_BIAS,
    UP_BIAS,
    DOWN_BIAS,
    ALL_VECTORS
};

/* Round up to a multiple of `multiple`. */
static inline int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

/* Storage type of a matrix. The first three hold numbers as in a checkpoint; all arithmetic is float32.
 * INT8: symmetric, one scale a row. INT4: groups of GROUP numbers, 16 bytes of indices into INT4_LEVELS each; the low half of
 * byte i is number i, the high half number i + 16. The scales of a row, in half precision, follow its groups. */
enum kind { FLOAT32, FLOAT16, BFLOAT16, INT8, INT4 };
enum { GROUP = 32, GROUP_BYTES = 18 };

/* Activations. INT8 and INT4 matrices are multiplied with activations that are quantized to 16 bits, with a scale for each
 * ACT_GROUP columns. The products are exact integers, at a quarter of the cost of converting weights to float32. The
 * quantization error is about a hundredth of that of the weights. Where an outlier leaves too few steps for the other numbers
 * of its group, the residual (x minus its quantized value) is quantized and multiplied too: that is as accurate as float32. */
enum { ACT_GROUP = 1024, ACT_MAX = 127 * 256 + 127 }; /* ACT_MAX: the largest number that two signed bytes hold */
typedef struct {
    const float *x;      /* [m, columns] */
    int16_t *q;          /* [m, padded_columns(columns)], padded with zeros; or split into bytes (gemv_u8s8.h) */
    float *scale; /* [m, act_groups(columns)]: x is q * scale; NaN where one of the group's numbers is not finite. The first
                          * of a residual is -1 where there is none */
    int32_t *correction; /* [m, correction_count(columns)]: the zero-point correction of the split form */
} activations;
static inline int padded_columns(int columns) { return round_up(columns, 128); }
static inline int act_groups(int columns) { return round_up(columns, ACT_GROUP) / ACT_GROUP; }
static inline int correction_count(int columns) { return padded_columns(columns) / 8; }
/* The size of `q`, `correction` and `scale` of m activations, in floats. */
static inline size_t quantized_floats(int m, int columns) {
    return (size_t)m * (size_t)(padded_columns(columns) / 2 + correction_count(columns) + round_up(act_groups(columns), 16));
}
/* The epilogue of a linear layer: y = sums, y += sums, y = activation(sums), y *= activation(sums). */
enum epilogue { STORE, ADD, ACTIVATE, GATED };

typedef struct {
    void *data;
    float *scale; /* INT8: [rows] */
    int rows, columns, kind;
    size_t row_bytes;
} matrix; /* its memory is an arena's, or the caller's, for example a mapped file */

/* The activations from index m on. */
static inline activations activations_from(activations all, int m, int columns) {
    if (all.q) {
        all.q += (size_t)m * padded_columns(columns);
        all.scale += (size_t)m * act_groups(columns);
        all.correction += (size_t)m * correction_count(columns);
    }
    all.x += (size_t)m * columns;
    return all;
}

/* Memory that is read next, for prefetching. */
typedef struct {
    const char *address;
    size_t bytes;
} prefetch_range;

/* Access patterns with which `sum` measures memory bandwidth; which is fastest depends on the machine. */
enum { READ_PLAIN, READ_PREFETCH, READ_QUARTERS, READ_MODES };

typedef struct worker worker;
typedef struct linear linear;
typedef struct schedule schedule;

/* The kernels, compiled once for each instruction set (kernels.c). An instruction set may lack some entries, which are NULL. */
typedef struct {
    const char *name;
    int mr, nr; /* block size of the microkernels: activations and rows of weights */
    int gemv_limit[INT4 + 1]; /* for each kind of weights: prompts of up to so many tokens use gemv */

    /* y[i * stride + r] = x[i] . row r, for rows first..last and i < m <= GEMV_MAX. INT8 and INT4 take x.q (split, where there is
     * split_activations) and x.scale, the others x.x. */
    void (*gemv)(const matrix *w, int first, int last, activations x, int m, float *y, size_t stride, prefetch_range next);
    /* c[m, n] (+)= a b, a packed as [k][mr], b [k][nr] with rows b_stride floats apart; m <= mr and n <= nr of c are written. */
    void (*microkernel)(int k, const float *a, const float *b, size_t b_stride, float *c, size_t c_stride, int m, int n, int add);
    /* c[m, n] = a b, a [mr][k] with rows a_stride floats apart. */
    void (*microkernel_unpacked)(int k, const float *a, size_t a_stride, const float *b, size_t b_stride, float *c,
                                 size_t c_stride, int m, int n);
    /* gemv_u8s8.h: q [padded_columns(columns)] as gemv takes it, and its zero-point correction. NULL: gemv takes q as it is. */
    void (*split_activations)(int kind, int columns, int16_t *q, int32_t *correction);
    /* int_gemm.h: pack up to nr rows of an INT8 or INT4 matrix; multiply mr activations with them, sums [mr, nr]. NULL: float32
     * is as fast. */
    void (*int_gemm_pack)(const matrix *w, int first, int count, float *packed);
    void (*int_microkernel)(const matrix *w, const float *packed, const int16_t *q, const float *scale, float *sums);
    /* quantize.h: x [n] -> q [padded_columns(n)], scale [act_groups(n)], and 1 where 16 bits are too few, else 0; and x
     * [columns] -> row `index` of w. */
    int (*quantize_activations)(const float *x, int n, int16_t *q, float *scale);
    void (*quantize_row)(matrix *w, int index, const float *x);
    /* Columns from..from + count of a row as float32: out [count]. */
    void (*dequantize_row)(const matrix *w, int index, int from, int count, float *out);
    /* out [n] = (x [n] - mean) / sqrt(variance + epsilon) * weight [n] + bias [n]; weight and bias may be NULL; RMS_NORM: x
     * over the root of its mean square + epsilon; NO_NORM: x. `out` may be x. */
    void (*norm)(int kind, const float *x, const float *weight, const float *bias, float epsilon, int n, float *out);
    /* `mode` (see enum epilogue) on n sums with their bias [n] or NULL: to [n]. `to` may be `sums`. */
    void (*epilogue)(const float *sums, const float *bias, int n, int mode, int activation, float *to);
    /* Rotate 2 * half numbers, in pairs of neighbours or (i, i + half). turns: the cosines [half] of the angles, then the
     * sines. */
    void (*rotate)(float *x, const float *turns, int half, int interleaved);
    /* x [n] = x * factor; with a cap, cap * tanh(x * factor / cap). */
    void (*soft_cap)(float *x, int n, float factor, float cap);
    /* ALiBi, for n keys of which the last is `distance` positions before the query: x[i] -= slope * (distance + n - 1 - i). */
    void (*add_slope)(float *x, int n, float slope, int distance);
    /* Clamp x [n] to -limit .. limit. */
    void (*clamp)(float *x, int n, float limit);
    /* x [n] = exp(x - max x); returns the sum, and max x in `largest`. */
    float (*softmax_numerators)(float *x, int n, float *largest);
    /* out[g * stride + s] = q[g] [d] . keys[s] [d] * scale, for g < queries and s < count. half: keys and values are in half
     * precision, else in float32. */
    void (*attention_scores)(const float *q, int queries, const void *keys, int half, int count, int d, float scale, float *out,
                             size_t stride);
    /* out[g * apart] [d] = the sum of p[g * stride + s] * values[s] [d], for g < queries and s < count. */
    void (*attention_mix)(const float *p, size_t stride, int queries, const void *values, int half, int count, int d, float *out,
                          size_t apart);
    /* shortlist.h: the k largest of x [n] and their indices, from the largest down; -1 where one is NaN. And the sum of
     * exp(x - largest). */
    int (*top_k)(const float *x, int n, int k, int *indices, float *values);
    double (*exp_sum)(const float *x, int n, float largest);
    /* shortlist.h: the sums of exp(x - largest) and of exp(x - largest) * (x - largest); the rank of x[at], from 1. */
    void (*entropy_sums)(const float *x, int n, float largest, double *sums);
    int (*rank_of)(const float *x, int n, int at);
    /* The sum of n numbers, to measure how long reading them takes; n / 4 is a multiple of a vector. */
    float (*sum)(const float *x, size_t n, int mode);

    /* Adds the phases of a gemm for a prompt; and the sizes of its packed activations and of its scratch, in floats. NULL:
     * linear.c's are used. */
    void (*gemm)(schedule *all, const linear *job);
    size_t (*gemm_packed_floats)(int m, int columns), (*gemm_scratch_floats)(int m, int columns);
} kernels;

/* GEMV_MAX: activations that gemv takes. MR_MAX, NR_MAX: of all instruction sets. OVERREAD: floats after the cache that may be
 * read. */
enum { GEMV_MAX = 8, MR_MAX = 12, NR_MAX = 32, OVERREAD = 64 };

/* dispatch.c: the best kernels that the machine supports, up to a level. */
const kernels *kernels_for(int level);

extern const kernels kernels_plain;
#if defined(__x86_64__) && !defined(GPTCLI_PLAIN)
extern const kernels kernels_avx2, kernels_avx512;
#ifdef GPTCLI_VNNI
extern const kernels kernels_avx2_vnni, kernels_avx512_vnni, kernels_avx512_vnni_amd;
#endif
#endif

/* amx.c, if the compiler supports AMX; NULL if the machine does not. */
const kernels *kernels_amx(void);

/* pool.c: a thread pool that hands out work in chunks. */
typedef struct {
    int first, last;
} range; /* from `first` to before `last` */

/* The state of one thread while it works on a phase. */
struct worker {
    const kernels *k;
    float *scratch; /* of this thread: scratch_floats of the schedule */
    int thread, threads;
    int fresh; /* 1 for the thread's first chunk of a phase: its scratch holds data of an earlier phase */
    uint32_t number; /* used by pool.c: number of the phase */
};

/* norm.c: m rows of x, or those `rows`, normalized: out [m, width]. norm_rows leaves out the factor. */
typedef struct {
    const float *x, *weight, *bias;
    const int *rows; /* [m] or NULL */
    float *out;
    float epsilon, factor; /* factor: what add_norm and add_join multiply with */
    int width, kind;
} normalization;
void norm_rows(const kernels *k, const normalization *job, int first, int last, float *out);
void add_norm(schedule *all, const normalization *job, int m);
/* out [m, width] += factor * normalized x; x is overwritten. */
void add_join(schedule *all, const normalization *job, int m);

/* linear.c: y = epilogue(x w^T + bias) for m activations. */
struct linear {
    const matrix *w;
    const float *bias; /* [rows] or NULL */
    const float *x; /* [m, columns]; NULL: each thread computes it with `norm`, for up to GEMV_MAX rows, in its own scratch */
    normalization norm;
    size_t normed_at; /* offset of that in the scratch, at least linear_scratch() */
    float *y; /* [m, stride] */
    float *gate; /* GATED prompts: scratch with the shape of y */
    size_t stride;
    atomic_int *outliers; /* used by linear.c: set to 1 if 16 bits are too few for an activation */
    float *packed; /* shared scratch of packed_floats(m, columns) floats, for more than GEMV_MAX activations */
    int m, prefill, epilogue, activation; /* prefill: of a prompt; otherwise each activation is a step of its own */
    const matrix *next; /* the matrix that is read next, or NULL */
};
enum { LINEAR_PHASES = 5 }; /* the most that add_linear adds */
void add_linear(schedule *all, const linear *job);
size_t packed_floats(const kernels *k, int m, int columns);
size_t linear_scratch(const kernels *k, int m, int columns);
/* The epilogue of columns first..last of y, whose sums are [m, stride]. */
void linear_epilogue(const worker *me, const linear *job, const float *sums, size_t stride, int first, int last);
/* Pack a panel, transposed: to[k * width + j] = from[j * stride + k] * factor for k < count and j < n; zero for n <= j < width. */
void pack_panel(const float *from, size_t stride, int n, int count, float factor, float *to, int width);

/* hooks.c: what a call records, and what it changes on the way. Points, with the width of a token's numbers there:
 *   STREAM       [C]     the residual stream before a layer; before layer n_layer: after the last
 *   QUERIES      [H D]   the queries of a layer after norms, rotation and growth; they are recorded only
 *   HEADS        [H D]   what the heads gathered, before the output projection
 *   SUM_ATTENTION [C]    what attention adds to the residual stream
 *   NEURONS      [mlp_width]  what the last matrix of the MLP reads
 *   SUM_MLP      [C]     what the MLP adds to the residual stream
 * Python and JavaScript fill these structures: increase ABI_VERSION with every change. */
enum point { STREAM, QUERIES, HEADS, SUM_ATTENTION, NEURONS, SUM_MLP };
typedef struct {
    int point, layer; /* layer: of STREAM 0..n_layer, of the others 0..n_layer - 1 */
    int first, last; /* the tokens of the call, from `first` to before `last` */
    int start, width; /* the columns: `width` of them, from `start` on */
    int stride; /* floats from one token's values to the next one's; 0: all have the same */
    int add; /* 1: the values are added; 0: they replace what stands there */
    const float *values; /* [last - first, width], or [width]; NULL: zeros replace it */
} gptcli_change;
typedef struct {
    /* Where to record what stands at each point, after the changes; NULL: nowhere. `layers` are those from first_layer on. */
    float *stream; /* [layers + 1, room, C] */
    float *queries, *heads; /* [layers, room, H D] */
    float *attention; /* [layers, room, C] */
    float *neurons; /* [layers, room, mlp_width] */
    float *mlp; /* [layers, room, C] */
    const float *start; /* [period, C]: the residual stream before the first stage of the call; NULL: the embedding, or what the
                         * call before left */
    const gptcli_change *changes; /* [change_count]; at one point they are made in this order */
    int room, change_count; /* room: tokens of each layer of the buffers, m or more */
    int first_layer; /* the first that is recorded */
    int period; /* token m of the call has `start`, `given_queries` and `given_keys` at m % period; m at most */
    const float *given_queries, *given_keys; /* [n_layer, period, H D] and [n_layer, period, K D]: attention takes these, as
                                              * they are recorded, instead of its own; NULL: its own */
} gptcli_hooks;
typedef struct {
    const gptcli_hooks *hooks;
    int point, layer;
    float *x;
    size_t stride, width;
} hooked;
/* Whether anything is recorded or changed at a point. */
int is_hooked(const gptcli_hooks *hooks, int point, int layer);
/* Adds a phase for m tokens where that is so. */
void add_hooks(schedule *all, const hooked *at, int m);

/* What the tokens of a call are: steps of different rows; one row's, at consecutive positions; or those of several rows, one
 * after the other, each from position 0. */
enum { STEPS, ONE_TEXT, TEXTS };

/* attention.c: the heads of one layer, for m tokens. A row of qkv is a token's queries [H, D], keys [K, D] and values [K, D]; H
 * / K queries share a key. Options that are NULL, 0 or QK_NONE are not applied. */
typedef struct {
    float *qkv; /* [m, qkv_width]; queries and keys are clamped, normalized and rotated in place */
    float *out; /* [m, H D] */
    void *keys, *values; /* of this layer: [row, K, capacity, D], in half precision with `half`, else in float32 */
    const int *rows, *positions; /* [m] */
    int m, heads, kv_heads, head_size, capacity, prefill; /* a mode of gptcli_read */
    int half, window, qk_norm, norm_kind, rotary_dim, interleaved;
    float scale, cap, clip, epsilon;
    const float *q_norm, *q_norm_bias, *k_norm, *k_norm_bias;
    const float *turns, *growth; /* by position: cosines and sines [rotary_dim]; a factor of queries */
    const float *slopes; /* [H] */
    float *parts; /* shared scratch of attention_shared(job, threads) floats */
    const float *given_queries, *given_keys; /* [period, H D] and [period, K D], see gptcli_hooks */
    int period;
} attention;
enum { ATTENTION_PHASES = 3 };
void add_attention(schedule *all, const attention *job);
/* The attention weights, or the scores before the softmax, of m queries at consecutive positions from positions[0] on: out
 * [H, m, positions[0] + m]. Here, qkv is [m, H D] and has the queries only, and the keys are those of one row. */
void add_pattern(schedule *all, const attention *job, int scores);
size_t attention_scratch(int capacity, const attention *job);
size_t attention_shared(const attention *job, int threads);

/* A phase: n units of work in any order, for example one matrix product, or the attention of one layer. A phase begins when the
 * previous one is finished. The result of an earlier phase may cause it to be skipped. */
typedef struct phase phase;
typedef void (*phase_work)(worker *me, const phase *p, range now,
                           range next); /* `now`: a chunk; `next`: the thread's next chunk, if known */
struct phase {
    phase_work run;
    int n, chunk; /* units of work, and units in a chunk */
    int guided; /* each thread begins with its share; further chunks get smaller, down to `chunk` */
    atomic_int result; /* initially 0; the phase's work may set it */
    phase *condition; /* NULL, or an earlier phase: unless its result is `wanted`, this phase is skipped */
    int wanted;
    union {
        linear linear;
        attention attention;
        normalization norm;
        hooked hooked;
        void *other;
    };
};

/* Phases that run one after another. The caller owns the memory. */
struct schedule {
    const kernels *k;
    float *scratch; /* [threads, scratch_floats], or NULL */
    size_t scratch_floats;
    int threads, count, room; /* threads of the pool; number of phases, and their capacity */
    phase *phases;
    const void *model; /* its owner, or NULL: schedules of one model with the same phases take about the same time */
};
phase *add_phase(schedule *all, phase_work run, int n, int chunk, int guided);
int pool_start(int threads);
int pool_threads(void);
void pool_run(const schedule *s);
void run_phase(phase *one);
/* The share of n units with which the thread begins a guided phase. */
range own_share(const worker *me, int n, int least);

/* pace.c: how many threads work on jobs of one kind. */
typedef struct {
    uint64_t kind;
    int most, threads, trial; /* number of threads: in the pool; in use; in the current trial, or 0 */
    int more, halve; /* whether the latest trial was with more threads; whether the next with fewer is with half */
    int jobs; /* this and the next two: of the current window */
    int64_t ns, stalled_ns;
    int since, pause[2]; /* windows since the latest trial, and before the next one with fewer and with more */
    double mean; /* ns of a job in the window before the trial */
} pace;
pace *pace_of(uint64_t kind, int threads);
int pace_threads(const pace *p);
void pace_note(pace *p, int64_t ns, int64_t stalled_ns);

/* store.c: memory, a check for finite numbers, and conversion of a checkpoint's numbers to matrices. */
void *huge_alloc(size_t bytes);
void huge_free(void *data);
typedef struct arena arena;
void *arena_alloc(arena **all, size_t bytes);
void arena_free(arena *all);
double memory_bandwidth(const kernels *k, int megabytes, int times);
int all_finite(const void *source, size_t n, int kind);
uint64_t checksum(const void *data, size_t bytes);
int matrix_alloc(matrix *w, int kind, int rows, int columns, arena **memory);
void matrix_borrow(matrix *w, int kind, int rows, int columns, const void *data, const float *scale);
int matrix_fill(const kernels *k, matrix *w, const void *source, int source_kind, int transposed);

#endif
