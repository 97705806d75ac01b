/* Linear layers. A few activations: each row of the matrix is read once for all of them. Many (a long prompt): blocks of the
 * matrix are unpacked to float32 and multiplied in registers, so that every kind of weight scale_groups at one speed. */
#include "native.h"

enum { KC = 768, CHUNK = 256 }; /* columns of a block (whole groups of 4-bit weights), and rows epilogue_vec at once */
enum { BAND = 64, LINE = BAND + 16 }; /* columns turned at once, and a line of them: not a power of two, whose places collide */
enum { LEAST = 16 }; /* rows handed out at once, at the end of a step */

/* Rows packed for whole numbers, and the sums of a tile. */
static size_t int_gemm_floats(int columns) {
    return (size_t)(padded_columns(columns) / 2 + padded_columns(columns) / GROUP + 1 + MR_MAX) * NR_MAX;
}

size_t packed_floats(const kernels *k, int m, int columns) {
    const size_t tiles = k->together ? k->gemm_packed_floats(m, columns) : (size_t)round_up(m, MR_MAX) * columns;
    const size_t shortened = quantized_floats(m, columns);
    return tiles > shortened ? tiles : shortened;
}

size_t linear_scratch(const kernels *k, int m, int columns) {
    const size_t tiles = k->together && m > GEMV_MAX ? k->gemm_scratch_floats(m, columns) : (size_t)(KC + LINE) * NR_MAX;
    const size_t few = (size_t)GEMV_MAX * CHUNK + quantized_floats(GEMV_MAX, columns), whole = k->int_microkernel ? int_gemm_floats(columns) : 0;
    const size_t most = tiles > few ? tiles : few;
    return most > whole ? most : whole;
}

void linear_epilogue(const worker *me, const linear *job, const float *sums, size_t stride, int first, int last) {
    const float *bias = job->bias ? job->bias + first : NULL;
    for (int m = 0; m < job->m; m++)
        me->k->finish(sums + m * stride, bias, last - first, job->finish, job->activation, job->y + m * job->stride + first);
}

/* The activations as INT8 and INT4 matrices take them, and `rows` where it is for that. Few: every thread makes its own, which
 * saves a meeting. */
static activations shortened(worker *me, const linear *job, int rows) {
    const int own = job->m <= GEMV_MAX, columns = job->w->columns;
    float *room = own ? me->scratch + GEMV_MAX * CHUNK : job->packed;
    const size_t m = (size_t)job->m, whole = m * (size_t)(padded_columns(columns) / 2), less = m * (size_t)correction_count(columns);
    const activations all = {job->x, (int16_t *)room, room + whole + less, (int32_t *)(room + whole)};
    tickets *counter = me->phase++;
    for (int m = 0, last = job->m; own || take(counter, job->m, 1, &m, &last);) {
        for (; m < last; m++) {
            const activations one = activations_from(all, m, columns);
            me->k->quantize_activations(one.x, columns, one.whole, one.step);
            if (rows && me->k->digits) me->k->digits(job->w->kind, columns, one.whole, one.less);
        }
        if (own) return all;
    }
    meet();
    return all;
}

/* What is read when rows from `first` to `last` come next. */
static prefetch_range stretch(const matrix *w, int first, int last) {
    const int count = last - first < CHUNK ? last - first : CHUNK;
    return (prefetch_range){(const char *)w->data + (size_t)first * w->row_bytes, count * w->row_bytes};
}

/* Rows first..last of the matrix with all activations. */
static void some(worker *me, const linear *job, activations all, int first, int last, prefetch_range then) {
    float *value = me->scratch; /* [GEMV_MAX, CHUNK] */
    for (int end; first < last; first = end) {
        end = last - first < CHUNK ? last : first + CHUNK;
        const prefetch_range next = end < last ? stretch(job->w, end, last) : then;
        for (int m = 0; m < job->m; m += GEMV_MAX) {
            linear part = *job;
            part.m = job->m - m < GEMV_MAX ? job->m - m : GEMV_MAX;
            part.y += (size_t)m * job->stride;
            me->k->rows(job->w, first, end, activations_from(all, m, job->w->columns), part.m, value - first, CHUNK, next);
            linear_epilogue(me, &part, value, CHUNK, first, end);
        }
    }
}

static void few(worker *me, const linear *job) {
    const matrix *w = job->w;
    activations all = {.x = job->x};
    if (w->kind >= INT8) all = shortened(me, job, 1);
    tickets *counter = me->phase++;
    int first, last, next, end;
    const int behind = own_chunk(me->thread, w->rows, LEAST, &first, &last);
    for (int more = 1; more; first = behind + next, last = behind + end) {
        prefetch_range then = stretch(w, last, last);
        more = take_fewer(counter, w->rows - behind, LEAST, &next, &end);
        if (more) {
            then = stretch(w, behind + next, behind + end);
        } else if (job->next) {
            own_chunk(me->thread, job->next->rows, LEAST, &next, &end);
            then = stretch(job->next, next, end);
        }
        some(me, job, all, first, last, then);
    }
}

void pack_panel(const float *from, size_t stride, int n, int count, float factor, float *to, int wide) {
    for (int k = 0; k < count; k++) {
        for (int j = 0; j < n; j++) to[k * wide + j] = from[j * stride + k] * factor;
        for (int j = n; j < wide; j++) to[k * wide + j] = 0.0f;
    }
}

/* Activations as the tiles read them: blocks of KC columns, in each panels of MR activations, [column][MR]. */
static void pack_activations(worker *me, const linear *job) {
    const int mr = me->k->mr, columns = job->w->columns, panels = round_up(job->m, mr) / mr;
    tickets *counter = me->phase++;
    for (int panel, end; take(counter, panels, 1, &panel, &end);)
        for (int block = 0; block < columns; block += KC) {
            const int kc = columns - block < KC ? columns - block : KC, m = panel * mr;
            float *to = job->packed + (size_t)block * panels * mr + (size_t)panel * kc * mr;
            pack_panel(job->x + (size_t)m * columns + block, columns, job->m - m < mr ? job->m - m : mr, kc, 1.0f, to, mr);
        }
}

/* NR rows of the matrix as a tile reads them: [column][NR]. */
static void pack_weights(worker *me, const linear *job, int first, int n, int block, int kc, float *to) {
    const int wide = me->k->wide;
    float *lines = to + (size_t)KC * wide; /* a few columns of all rows, which stay in the first cache */
    for (int from = 0; from < kc; from += BAND) {
        const int count = kc - from < BAND ? kc - from : BAND;
        for (int j = 0; j < n; j++) me->k->row(job->w, first + j, block + from, count, lines + j * LINE);
        pack_panel(lines, LINE, n, count, 1.0f, to + (size_t)from * wide, wide);
    }
}

static void many(worker *me, const linear *job) {
    const int wide = me->k->wide, mr = me->k->mr, rows = job->w->rows, columns = job->w->columns;
    const int panels = round_up(job->m, mr) / mr;
    pack_activations(me, job);
    meet();
    tickets *counter = me->phase++;
    for (int first, last; take(counter, rows, wide, &first, &last);) {
        for (int block = 0; block < columns; block += KC) {
            const int kc = columns - block < KC ? columns - block : KC;
            pack_weights(me, job, first, last - first, block, kc, me->scratch);
            for (int panel = 0; panel < panels; panel++) {
                const int m = panel * mr, count = job->m - m < mr ? job->m - m : mr;
                const float *left = job->packed + (size_t)block * panels * mr + (size_t)panel * kc * mr;
                me->k->tile(kc, left, me->scratch, wide, job->y + m * job->stride + first, job->stride, count,
                            last - first, block > 0 || job->finish == ADD);
            }
        }
        linear rest = *job;
        if (job->finish == ADD) rest.finish = STORE; /* the sums are in y already: only the bias is left */
        linear_epilogue(me, &rest, job->y + first, job->stride, first, last);
    }
}

/* INT8 and INT4 matrices times activations in 16 bits. There are at least as many of those as a tile has: the last tile takes
 * some again. */
static void many_whole(worker *me, const linear *job) {
    const int wide = me->k->wide, mr = me->k->mr, rows = job->w->rows, columns = job->w->columns;
    const activations all = shortened(me, job, 0);
    float *sums = me->scratch, *packed = sums + MR_MAX * NR_MAX;
    tickets *counter = me->phase++;
    for (int first, last; take(counter, rows, wide, &first, &last);) {
        me->k->int_gemm_pack(job->w, first, last - first, packed);
        for (int m = 0; m < job->m; m += mr) {
            const int from = m + mr <= job->m ? m : job->m - mr;
            const activations some = activations_from(all, from, columns);
            me->k->int_microkernel(job->w, packed, some.whole, some.step, sums);
            linear part = *job;
            part.m = from + mr - m;
            part.y += (size_t)m * job->stride;
            linear_epilogue(me, &part, sums + (m - from) * wide, wide, first, last);
        }
    }
}

void linear_run(worker *me, const linear *job) {
    if (!job->together || job->m <= me->k->few[job->w->kind]) few(me, job);
    else if (me->k->together) me->k->together(me, job);
    else if (me->k->int_microkernel && job->w->kind >= INT8) many_whole(me, job);
    else many(me, job);
}
