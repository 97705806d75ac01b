/* What the files of this library tell one another. Python sees only functions whose names start with gptcli_.
 *
 * Shapes as in gpt.py: M tokens computed at once, C width, H heads, D head size, V vocabulary.
 */
#ifndef GPTCLI_NATIVE_H
#define GPTCLI_NATIVE_H

#include <stddef.h>
#include <stdint.h>

/* The next multiple. */
static inline int padded(int n, int to) { return (n + to - 1) / to * to; }

/* How a matrix is kept. The first three hold numbers as a checkpoint has them; all arithmetic is float32.
 * INT8: one scale a row. INT4: groups of GROUP numbers, 16 bytes of indices into LEVELS each; the low half of byte i is number
 * i, the high half number i + 16. Behind a row's groups come their scales in half precision. */
enum kind { FLOAT32, FLOAT16, BFLOAT16, INT8, INT4 };
enum { GROUP = 32, GROUP_BYTES = 18 };

/* What INT8 and INT4 matrices are multiplied with: activations in 16 bits, SPAN columns with a step of their own. Their
 * products with the weights are whole numbers, and a quarter as much work as conversion to float32; what is lost is some
 * hundredth of what the weights lost. */
enum { SPAN = 1024, LONGEST = 127 * 256 + 127 }; /* LONGEST: of numbers that two signed bytes make up */
typedef struct {
    const float *x;     /* [m, columns] */
    int16_t *whole;     /* [m, short_columns(columns)], zero behind a row's end */
    float *step;        /* [m, spans(columns)]: x is whole * step; NaN where one of its numbers is not finite */
    int32_t *less;      /* [m, lesser(columns)]: see digits.h, which turns `whole` into something else */
} activations;
static inline int short_columns(int columns) { return padded(columns, 128); }
static inline int spans(int columns) { return padded(columns, SPAN) / SPAN; }
static inline int lesser(int columns) { return short_columns(columns) / 8; }
/* Room for `whole`, `less` and `step` of m activations, in floats. */
static inline size_t short_floats(int m, int columns) {
    return (size_t)m * (size_t)(short_columns(columns) / 2 + lesser(columns) + padded(spans(columns), 16));
}
enum activation { GELU_TANH, GELU, RELU };
enum finish { STORE, ADD, ACTIVATE }; /* what becomes of a linear layer's sums */

typedef struct {
    void *data;
    float *scale; /* INT8: [rows] */
    int rows, columns, kind;
    size_t row_bytes;
} matrix;

typedef struct {
    matrix qkv, attention, up, down;
    float *ln_1, *ln_1_bias, *ln_2, *ln_2_bias;                 /* [C] */
    float *qkv_bias, *attention_bias, *up_bias, *down_bias;
} block;

/* The activations from the m-th on. */
static inline activations from_place(activations all, int m, int columns) {
    if (all.whole) {
        all.whole += (size_t)m * short_columns(columns);
        all.step += (size_t)m * spans(columns);
        all.less += (size_t)m * lesser(columns);
    }
    all.x += (size_t)m * columns;
    return all;
}

/* What is read next, so that it can be asked for early: memory answers late. */
typedef struct { const char *place; size_t bytes; } onward;

/* How memory is read to see what it gives: each way is the fastest somewhere. */
enum { PLAIN, EARLY, QUARTERS, READINGS };

typedef struct worker worker;
typedef struct linear linear;
typedef struct schedule schedule;

/* The kernels, compiled once for each instruction set. */
typedef struct {
    const char *name;
    /* y[m * stride + r] = x[m] . row r for rows first..last and up to MOST activations. INT8 and INT4 take `whole`, and the
     * others `x`. */
    void (*rows)(const matrix *w, int first, int last, activations x, int m, float *y, size_t stride, onward then);
    void (*shorten)(const float *x, int n, int16_t *whole, float *step); /* round.h: one activation in 16 bits */
    /* digits.h: as `rows` takes it with INT8 or INT4; NULL: as it is. */
    void (*digits)(int kind, int columns, int16_t *whole, int32_t *less);
    /* One row of a matrix as float32. */
    void (*row)(const matrix *w, int row, int from, int count, float *out);
    /* c[m][n] (+)= a packed [k][TALL] x b [k][WIDE], row stride of b in floats; m rows and n columns of c are written. */
    void (*tile)(int k, const float *a, const float *b, size_t b_stride, float *c, size_t c_stride, int m, int n, int add);
    /* The same with TALL rows of `a` as they lie, a stride apart; c is not added to. */
    void (*tile_rows)(int k, const float *a, size_t a_stride, const float *b, size_t b_stride, float *c, size_t c_stride, int m,
                      int n);
    /* whole.h: the same in whole numbers, for INT8 and INT4; NULL where float32 is as fast. */
    void (*whole_pack)(const matrix *w, int first, int count, float *to);
    void (*whole_tile)(const matrix *w, const float *packed, const int16_t *a, const float *step, float *sums);
    int tall, wide;
    int few[INT4 + 1]; /* for each kind of weights: up to so many tokens of a prompt go through `rows` */
    void (*norm)(const float *x, const float *weight, const float *bias, float epsilon, int n, float *out);
    /* n sums of a linear layer, with their bias or NULL: to = sums, to += sums or to = activation(sums); it may be their place. */
    void (*finish)(const float *sums, const float *bias, int n, int how, int activation, float *to);
    float (*softmax)(float *x, int n); /* in place, not divided; returns the sum */
    /* out[s] = q . keys[s] * scale, and out = sum of p[s] values[s], both over rows of d floats. */
    void (*scores)(const float *q, const float *keys, int count, int d, float scale, float *out);
    void (*mix)(const float *p, const float *values, int count, int d, float factor, float *out);
    void (*keep)(matrix *w, int row, const float *x); /* round.h: a row of a matrix, rounded to its kind */
    /* choose.h: the k largest and their places, -1 where one is NaN; and the sum of exp(x - largest). */
    int (*largest)(const float *x, int n, int k, int *places, float *values);
    double (*exp_sum)(const float *x, int n, float largest);
    float (*sum)(const float *x, size_t n, int how); /* of many numbers, whole quarters of vectors, for the time it takes */
    /* The phases of a prompt's product, and the rooms that it needs in floats; NULL: the ones in product.c. */
    void (*together)(schedule *all, const linear *job);
    size_t (*together_packed)(int m, int columns), (*together_scratch)(int m, int columns);
} kernels;

enum { MOST = 8, TALLEST = 12, WIDEST = 32, SPARE = 64 }; /* SPARE: floats that may be read behind the cache */

/* engine.c: the best that the machine has, up to a level (see gptcli_new). */
const kernels *kernels_for(int level);

extern const kernels kernels_plain;
#if defined(__x86_64__) && !defined(GPTCLI_PLAIN)
extern const kernels kernels_avx2, kernels_avx512;
#ifdef GPTCLI_VNNI
extern const kernels kernels_avx2_vnni, kernels_avx512_vnni;
#endif
#endif

/* amx.c, where the compiler knows it; NULL where the machine has no AMX. */
const kernels *kernels_amx(void);

/* pool.c: threads that stay, and work that is handed out to them in chunks. */
typedef struct { int first, last; } range; /* from `first` to before `last` */

/* What one thread knows while it works on a phase. */
struct worker {
    const kernels *k;
    float *scratch; /* this thread's own, of the schedule's scratch_floats */
    int thread, threads;
    int fresh;       /* 1 with the thread's first chunk of a phase: what it made in its scratch before is another phase's */
    uint32_t number; /* pool.c's: of the phase */
};

/* engine.c: layer normalization of m rows of x, or of the rows `of`: out [m, width]. */
typedef struct {
    const float *x, *weight, *bias;
    const int *of; /* [m] or NULL */
    float *out;
    float epsilon;
    int width;
} layer_norm;
void norm_rows(const kernels *k, const layer_norm *job, int first, int last, float *out);

/* product.c: y = x w^T + bias for m activations. */
struct linear {
    const matrix *w;
    const float *bias; /* [rows] or NULL */
    const float *x;    /* [m, columns]; NULL: `before` makes it, up to MOST rows, in each thread's own scratch */
    layer_norm before;
    size_t before_at; /* where, behind linear_scratch */
    float *y;          /* [m, stride] */
    size_t stride;
    float *packed; /* room for packed_floats(m, columns), shared; used where there are more than MOST */
    int m, together, finish, activation; /* together: a prompt's; else each activation is a step's */
    const matrix *next; /* what the same threads read after it, or NULL */
};
void add_linear(schedule *all, const linear *job);
size_t packed_floats(const kernels *k, int m, int columns);
size_t linear_scratch(const kernels *k, int m, int columns);
/* Bias, activation or residual for columns first..last of y: their sums are [m, stride]. */
void finish_part(const worker *me, const linear *job, const float *sums, size_t stride, int first, int last);
/* `count` numbers of each of n rows, `stride` apart, times a factor, as a tile reads them: [count][wide]; zero where no row is. */
void panel_of(const float *from, size_t stride, int n, int count, float factor, float *to, int wide);

/* attention.c: the heads of one layer, for tokens whose queries, keys and values stand side by side in qkv. */
typedef struct {
    const float *qkv; /* [m, 3C] */
    float *out;       /* [m, C] */
    float *keys, *values; /* of this layer: [row, H, capacity, D] */
    const int *rows, *positions; /* [m] */
    int m, heads, size, capacity, together; /* together: one row, one position after another */
    float scale;
} attention;
void add_attention(schedule *all, const attention *job);
size_t attention_scratch(int capacity, int size);

/* One matrix product, one layer's attention, ...: n units of work in any order. A phase begins when the one before is done. */
typedef struct phase phase;
typedef void (*phase_work)(worker *me, const phase *job, range now, range then);
struct phase {
    phase_work run; /* then: the thread's next chunk where it is known */
    int n, chunk; /* units of work, and how many are handed out at once */
    int guided;   /* each thread begins with a share of its own, and then come large chunks first, `chunk` at the least */
    union {
        linear linear;
        attention attention;
        layer_norm norm;
        void *other;
    };
};

/* Phases one after another. The memory is the caller's. */
struct schedule {
    const kernels *k;
    float *scratch; /* [threads, scratch_floats], or NULL */
    size_t scratch_floats;
    int threads, count, room; /* threads of the pool; phases, and how many there may be */
    phase *phases;
};
phase *add_phase(schedule *all, phase_work run, int n, int chunk, int guided);
int pool_start(int threads);
int pool_threads(void);
void pool_run(const schedule *s);
void run_phase(phase *one);
/* The share of n units that the thread begins with in a guided phase. */
range own_share(const worker *me, int n, int least);

/* store.c: whether all numbers are finite, and matrices from a checkpoint's numbers. */
void *huge_alloc(size_t bytes);
void huge_free(void *data);
double memory_bandwidth(const kernels *k, int megabytes, int times);
int all_finite(const void *source, size_t n, int kind);
int matrix_room(matrix *w, int kind, int rows, int columns);
int matrix_fill(const kernels *k, matrix *w, const void *source, int source_kind, int transposed);
void matrix_free(matrix *w);

#endif
