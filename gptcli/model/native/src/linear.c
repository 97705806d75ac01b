/* Linear layers: y = epilogue(x w^T + bias).
 *
 * Shapes (see `linear` in native.h): w [rows, columns] of any kind, bias [rows] or NULL, x [m, columns], y [m, stride].
 *
 * There are three implementations. linear_gemv, for a few activations: each row of w is read once for all of them. linear_gemm,
 * for a long prompt: blocks of w are unpacked to float32 and multiplied by a register-blocked microkernel, so all kinds of
 * weights run at the same speed. linear_int_gemm, for INT8 and INT4 with VNNI: the same in integers. amx.c has a fourth.
 */
#include <math.h>

#include "native.h"

enum { KC = 768, GEMV_ROWS = 256 }; /* columns of a gemm block (a multiple of GROUP); rows in each epilogue of a gemv */
/* Columns that are transposed at once, and the stride of their rows: no power of two, as that causes cache conflicts. */
enum { PANEL_COLUMNS = 64, LINE_FLOATS = PANEL_COLUMNS + 16 };
enum { MIN_ROWS = 16 }; /* rows in the smallest chunk of a gemv */

/* The scratch of linear_int_gemm: packed rows and the sums of a block, in floats. */
static size_t int_gemm_floats(int columns) {
    return (size_t)(padded_columns(columns) / 2 + padded_columns(columns) / GROUP + 1 + MR_MAX) * NR_MAX;
}

size_t packed_floats(const kernels *k, int m, int columns) {
    const size_t panels = k->gemm ? k->gemm_packed_floats(m, columns) : (size_t)round_up(m, MR_MAX) * columns;
    const size_t quantized = 2 * quantized_floats(m, columns);
    return panels > quantized ? panels : quantized;
}

/* The scratch of linear_gemv: sums, then quantized activations and residuals, then the residual of one activation in float32 or
 * its sums. */
static size_t gemv_floats(int columns) { return (size_t)GEMV_MAX * GEMV_ROWS + 2 * quantized_floats(GEMV_MAX, columns); }

size_t linear_scratch(const kernels *k, int m, int columns) {
    const size_t gemm = k->gemm && m > GEMV_MAX ? k->gemm_scratch_floats(m, columns) : (size_t)(KC + LINE_FLOATS) * NR_MAX;
    const size_t gemv = gemv_floats(columns) + (size_t)(columns > GEMV_ROWS ? columns : GEMV_ROWS);
    const size_t int_gemm = k->int_microkernel ? int_gemm_floats(columns) + NR_MAX : 0; /* and a residual's sums */
    const size_t larger = gemm > gemv ? gemm : gemv;
    return larger > int_gemm ? larger : int_gemm;
}

void linear_epilogue(const worker *me, const linear *job, const float *sums, size_t stride, int first, int last) {
    const float *bias = job->bias ? job->bias + first : NULL;
    for (int m = 0; m < job->m; m++)
        me->k->epilogue(sums + m * stride, bias, last - first, job->epilogue, job->activation, job->y + m * job->stride + first);
}

/* Activations in 16 bits, and the residuals of those for which 16 bits are too few. */
typedef struct {
    activations all, residual;
} quantized;

static activations place_activations(const linear *job, const float *x, float *memory) {
    const size_t q = (size_t)job->m * (size_t)(padded_columns(job->w->columns) / 2);
    const size_t correction = (size_t)job->m * (size_t)correction_count(job->w->columns);
    return (activations){.x = x, .q = (int16_t *)memory, .correction = (int32_t *)(memory + q), .scale = memory + q + correction};
}

/* The buffers of the quantized activations of an INT8 or INT4 matrix: up to GEMV_MAX activations are in each thread's scratch,
 * more are in shared memory. */
static quantized place_quantized(const worker *me, const linear *job, const float *x) {
    float *memory = job->m <= GEMV_MAX ? me->scratch + GEMV_MAX * GEMV_ROWS : job->packed;
    return (quantized){.all = place_activations(job, x, memory),
                       .residual = place_activations(job, x, memory + quantized_floats(job->m, job->w->columns))};
}

static quantized quantized_from(quantized x, int m, int columns) {
    return (quantized){.all = activations_from(x.all, m, columns), .residual = activations_from(x.residual, m, columns)};
}

/* Quantize the residual of an activation, for gemv. */
static void quantize_residual(const worker *me, const matrix *w, quantized one) {
    float *left = me->scratch + gemv_floats(w->columns); /* [columns] */
    for (int i = 0; i < w->columns; i++) left[i] = fmaf(-(float)one.all.q[i], one.all.scale[i / ACT_GROUP], one.all.x[i]);
    me->k->quantize_activations(left, w->columns, one.residual.q, one.residual.scale);
    if (me->k->split_activations) me->k->split_activations(w->kind, w->columns, one.residual.q, one.residual.correction);
}

/* Quantize activations first..last, and split them into bytes where gemv needs that. */
static void quantize(const worker *me, const linear *job, quantized x, int first, int last, int for_gemv) {
    const matrix *w = job->w;
    for (int m = first; m < last; m++) {
        const quantized one = quantized_from(x, m, w->columns);
        if (me->k->quantize_activations(one.all.x, w->columns, one.all.q, one.all.scale)) quantize_residual(me, w, one);
        else *one.residual.scale = -1;
        if (for_gemv && me->k->split_activations) me->k->split_activations(w->kind, w->columns, one.all.q, one.all.correction);
    }
}

/* Add the products of rows first..last and the residuals to sums [m, stride]. `more` is scratch for last - first sums. */
static void add_residuals(const worker *me, const matrix *w, int first, int last, activations residual, int m, float *sums,
                          size_t stride, float *more) {
    for (int i = 0; i < m; i++) {
        const activations one = activations_from(residual, i, w->columns);
        if (*one.scale < 0) continue;
        me->k->gemv(w, first, last, one, 1, more - first, stride, (prefetch_range){.address = w->data, .bytes = 0});
        for (int r = 0; r < last - first; r++) sums[i * stride + r] += more[r];
    }
}

static void quantize_for_gemm(worker *me, const phase *p, range now, range next) {
    const linear *job = &p->linear;
    (void)next;
    quantize(me, job, place_quantized(me, job, job->x), now.first, now.last, 0);
}

static void quantize_for_gemv(worker *me, const phase *p, range now, range next) {
    const linear *job = &p->linear;
    (void)next;
    quantize(me, job, place_quantized(me, job, job->x), now.first, now.last, 1);
}

/* The memory to prefetch: the beginning of rows first..last. */
static prefetch_range rows_range(const matrix *w, int first, int last) {
    const int count = last - first < GEMV_ROWS ? last - first : GEMV_ROWS;
    return (prefetch_range){(const char *)w->data + (size_t)first * w->row_bytes, count * w->row_bytes};
}

/* gemv of rows first..last with all activations, GEMV_MAX at a time. `after`: the memory that this thread reads next. */
static void gemv_rows(worker *me, const linear *job, quantized x, int first, int last, prefetch_range after) {
    const matrix *w = job->w;
    float *sums = me->scratch; /* [GEMV_MAX, GEMV_ROWS] */
    float *more = me->scratch + gemv_floats(w->columns); /* [GEMV_ROWS] */
    for (int end; first < last; first = end) {
        end = last - first < GEMV_ROWS ? last : first + GEMV_ROWS;
        const prefetch_range next = end < last ? rows_range(w, end, last) : after;
        for (int m = 0; m < job->m; m += GEMV_MAX) {
            linear part = *job;
            part.m = job->m - m < GEMV_MAX ? job->m - m : GEMV_MAX;
            part.y += (size_t)m * job->stride;
            me->k->gemv(w, first, end, activations_from(x.all, m, w->columns), part.m, sums - first, GEMV_ROWS, next);
            if (w->kind >= INT8)
                add_residuals(me, w, first, end, activations_from(x.residual, m, w->columns), part.m, sums, GEMV_ROWS, more);
            linear_epilogue(me, &part, sums, GEMV_ROWS, first, end);
        }
    }
}

/* The activations of a gemv. If there are few, every thread normalizes and quantizes all of them in its own scratch, before its
 * first chunk; that saves one or two phases. */
static quantized gemv_activations(worker *me, const linear *job) {
    const int integer = job->w->kind >= INT8;
    float *normed = me->scratch + job->normed_at;
    const float *x = job->x ? job->x : normed;
    const quantized all = integer ? place_quantized(me, job, x) : (quantized){.all = {.x = x}};
    if (!me->fresh) return all;
    if (!job->x) norm_rows(me->k, &job->norm, 0, job->m, normed);
    if (integer && job->m <= GEMV_MAX) quantize(me, job, all, 0, job->m, 1);
    return all;
}

static void linear_gemv(worker *me, const phase *p, range now, range next) {
    const linear *job = &p->linear;
    prefetch_range after = rows_range(job->w, now.last, now.last);
    if (next.first < next.last) {
        after = rows_range(job->w, next.first, next.last);
    } else if (job->next) {
        const range share = own_share(me, job->next->rows, MIN_ROWS);
        after = rows_range(job->next, share.first, share.last);
    }
    gemv_rows(me, job, gemv_activations(me, job), now.first, now.last, after);
}

void pack_panel(const float *from, size_t stride, int n, int count, float factor, float *to, int width) {
    for (int k = 0; k < count; k++) {
        for (int j = 0; j < n; j++) to[k * width + j] = from[j * stride + k] * factor;
        for (int j = n; j < width; j++) to[k * width + j] = 0.0f;
    }
}

/* Pack the activations: blocks of KC columns, in each of them panels of mr activations, [column][mr]. */
static void pack_activations(worker *me, const phase *p, range now, range next) {
    const linear *job = &p->linear;
    const int mr = me->k->mr, columns = job->w->columns, panels = p->n;
    (void)next;
    for (int panel = now.first; panel < now.last; panel++)
        for (int block = 0; block < columns; block += KC) {
            const int kc = columns - block < KC ? columns - block : KC, m = panel * mr;
            float *to = job->packed + (size_t)block * panels * mr + (size_t)panel * kc * mr;
            pack_panel(job->x + (size_t)m * columns + block, columns, job->m - m < mr ? job->m - m : mr, kc, 1.0f, to, mr);
        }
}

/* Pack kc columns of up to nr rows of the matrix to [column][nr]; the scratch for that follows the packed numbers. */
static void pack_weights(worker *me, const linear *job, int first, int n, int block, int kc, float *to) {
    const int nr = me->k->nr;
    float *unpacked = to + (size_t)KC * nr; /* a few columns of all rows, which stay in the L1 cache */
    for (int from = 0; from < kc; from += PANEL_COLUMNS) {
        const int count = kc - from < PANEL_COLUMNS ? kc - from : PANEL_COLUMNS;
        for (int j = 0; j < n; j++) me->k->dequantize_row(job->w, first + j, block + from, count, unpacked + j * LINE_FLOATS);
        pack_panel(unpacked, LINE_FLOATS, n, count, 1.0f, to + (size_t)from * nr, nr);
    }
}

static void linear_gemm(worker *me, const phase *p, range now, range next) {
    const linear *job = &p->linear;
    const int nr = me->k->nr, mr = me->k->mr, columns = job->w->columns, first = now.first, last = now.last;
    const int panels = round_up(job->m, mr) / mr;
    float *sums = job->epilogue == GATED ? job->gate : job->y;
    (void)next;
    for (int block = 0; block < columns; block += KC) {
        const int kc = columns - block < KC ? columns - block : KC;
        pack_weights(me, job, first, last - first, block, kc, me->scratch);
        for (int panel = 0; panel < panels; panel++) {
            const int m = panel * mr, count = job->m - m < mr ? job->m - m : mr;
            const float *left = job->packed + (size_t)block * panels * mr + (size_t)panel * kc * mr;
            me->k->microkernel(kc, left, me->scratch, nr, sums + m * job->stride + first, job->stride, count, last - first,
                               block > 0 || job->epilogue == ADD);
        }
    }
    linear rest = *job;
    if (job->epilogue == ADD) rest.epilogue = STORE; /* the sums are in y already: add the bias only */
    linear_epilogue(me, &rest, sums + first, job->stride, first, last);
}

/* INT8 and INT4 matrices times at least mr quantized activations. The last block of mr may overlap the one before, and computes
 * some of them again. */
static void linear_int_gemm(worker *me, const phase *p, range now, range next) {
    const linear *job = &p->linear;
    const int nr = me->k->nr, mr = me->k->mr, columns = job->w->columns, first = now.first, last = now.last;
    const quantized all = place_quantized(me, job, job->x);
    float *sums = me->scratch, *packed = sums + MR_MAX * NR_MAX, *more = sums + int_gemm_floats(columns);
    (void)next;
    me->k->int_gemm_pack(job->w, first, last - first, packed);
    for (int m = 0; m < job->m; m += mr) {
        const int from = m + mr <= job->m ? m : job->m - mr;
        const quantized block = quantized_from(all, from, columns);
        me->k->int_microkernel(job->w, packed, block.all.q, block.all.scale, sums);
        add_residuals(me, job->w, first, last, block.residual, mr, sums, (size_t)nr, more);
        linear part = *job;
        part.m = from + mr - m;
        part.y += (size_t)m * job->stride;
        linear_epilogue(me, &part, sums + (m - from) * nr, nr, first, last);
    }
}

/* Record whether 16 bits are too few for any of a prompt's activations. */
static void find_outliers(worker *me, const phase *p, range now, range next) {
    const int columns = p->linear.w->columns;
    int16_t *q = (int16_t *)me->scratch;
    float *scale = me->scratch + gemv_floats(columns);
    (void)next;
    for (int m = now.first; m < now.last; m++)
        if (me->k->quantize_activations(p->linear.x + (size_t)m * columns, columns, q, scale))
            atomic_store_explicit(p->linear.outliers, 1, memory_order_relaxed);
}

static void add_gemv(schedule *all, const linear *job) {
    if (job->w->kind >= INT8 && job->m > GEMV_MAX) add_phase(all, quantize_for_gemv, job->m, 1, 0)->linear = *job;
    add_phase(all, linear_gemv, job->w->rows, MIN_ROWS, 1)->linear = *job;
}

/* Add the phases of a gemm without AMX. */
static void add_gemm(schedule *all, const linear *job) {
    const kernels *k = all->k;
    const int integer = k->int_microkernel && job->w->kind >= INT8, panels = round_up(job->m, k->mr) / k->mr;
    if (integer) add_phase(all, quantize_for_gemm, job->m, 1, 0)->linear = *job;
    else add_phase(all, pack_activations, panels, 1, 0)->linear = *job;
    add_phase(all, integer ? linear_int_gemm : linear_gemm, job->w->rows, k->nr, 0)->linear = *job;
}

/* Make the phases from index `first` on depend on the result of an earlier one. */
static void depend(schedule *all, int first, phase *condition, int wanted) {
    for (int i = first; i < all->count; i++) all->phases[i].condition = condition, all->phases[i].wanted = wanted;
}

/* INT8 and INT4 on AMX have no residuals: prompts that need them use the gemm without AMX. */
static void add_gemm_integer(schedule *all, const linear *job) {
    phase *search = add_phase(all, find_outliers, job->m, 1, 0);
    search->linear = *job;
    search->linear.outliers = &search->result;
    int first = all->count;
    all->k->gemm(all, job);
    depend(all, first, search, 0);
    first = all->count;
    add_gemm(all, job);
    depend(all, first, search, 1);
}

void add_linear(schedule *all, const linear *job) {
    const kernels *k = all->k;
    if (!job->prefill || job->m <= k->gemv_limit[job->w->kind]) add_gemv(all, job);
    else if (k->gemm && job->w->kind >= INT8) add_gemm_integer(all, job);
    else if (k->gemm) k->gemm(all, job);
    else add_gemm(all, job);
}
