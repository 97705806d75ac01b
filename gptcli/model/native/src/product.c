/* Linear layers. A few activations: each row of the matrix is read once for all of them. Many (a long prompt): blocks of the
 * matrix are unpacked to float32 and multiplied in registers, so that every kind of weight runs at one speed. */
#include <limits.h>
#include <math.h>

#include "native.h"

enum { DEEP = 768, CHUNK = 256 }; /* columns of a block (whole groups of 4-bit weights), and rows finished at once */
enum { BAND = 64, LINE = BAND + 16 }; /* columns turned at once, and a line of them: not a power of two, whose places collide */
enum { LEAST = 16 }; /* rows handed out at once, at the end of a step */

/* Rows packed for whole numbers, and the sums of a tile. */
static size_t whole_floats(int columns) {
    return (size_t)(short_columns(columns) / 2 + short_columns(columns) / GROUP + 1 + TALLEST) * WIDEST;
}

size_t packed_floats(const kernels *k, int m, int columns) {
    const size_t tiles = k->together ? k->together_packed(m, columns) : (size_t)padded(m, TALLEST) * columns;
    const size_t shortened = 2 * short_floats(m, columns);
    return tiles > shortened ? tiles : shortened;
}

/* Where a thread's room ends that holds the sums of `rows` and activations in 16 bits, and what they leave. */
static size_t left_at(int columns) { return (size_t)MOST * CHUNK + 2 * short_floats(MOST, columns); }

size_t linear_scratch(const kernels *k, int m, int columns) {
    const size_t tiles = k->together && m > MOST ? k->together_scratch(m, columns) : (size_t)(DEEP + LINE) * WIDEST;
    const size_t few = left_at(columns) + (size_t)(columns > CHUNK ? columns : CHUNK);
    const size_t whole = k->whole_tile ? whole_floats(columns) + WIDEST : 0;
    const size_t most = tiles > few ? tiles : few;
    return most > whole ? most : whole;
}

void finish_part(const worker *me, const linear *job, const float *sums, size_t stride, int first, int last) {
    const float *bias = job->bias ? job->bias + first : NULL;
    for (int m = 0; m < job->m; m++)
        me->k->finish(sums + m * stride, bias, last - first, job->finish, job->activation, job->y + m * job->stride + first);
}

/* What 16 bits leave of an activation, in 16 more, as `rows` takes it. `left` is room for one. */
static void leave(const worker *me, int kind, int columns, activations one, activations rest, float *left) {
    for (int i = 0; i < columns; i++) left[i] = fmaf(-(float)one.whole[i], one.step[i / SPAN], one.x[i]);
    me->k->shorten(left, columns, rest.whole, rest.step);
    if (me->k->digits) me->k->digits(kind, columns, rest.whole, rest.less);
}

/* The activations as INT8 and INT4 matrices take them, and `rows` where it is for that; and what that leaves of those that have
 * too few bits. Few: every thread makes its own, which saves a meeting. */
static activations shortened(worker *me, const linear *job, int rows, activations *rest) {
    const int own = job->m <= MOST, columns = job->w->columns;
    float *room = own ? me->scratch + MOST * CHUNK : job->packed, *left = me->scratch + left_at(columns);
    const size_t m = (size_t)job->m, whole = m * (size_t)(short_columns(columns) / 2), less = m * (size_t)lesser(columns);
    const activations all = {job->x, (int16_t *)room, room + whole + less, (int32_t *)(room + whole)};
    room += short_floats(job->m, columns);
    *rest = (activations){job->x, (int16_t *)room, room + whole + less, (int32_t *)(room + whole)};
    tickets *counter = me->phase++;
    for (int m = 0, last = job->m; own || take(counter, job->m, 1, &m, &last);) {
        for (; m < last; m++) {
            const activations one = from_place(all, m, columns), other = from_place(*rest, m, columns);
            if (me->k->shorten(one.x, columns, one.whole, one.step)) leave(me, job->w->kind, columns, one, other, left);
            else *other.step = -1;
            if (rows && me->k->digits) me->k->digits(job->w->kind, columns, one.whole, one.less);
        }
        if (own) return all;
    }
    meet();
    return all;
}

/* Add to sums [m, stride] of rows first..last what 16 bits left of the activations. `more` is room for as many sums. */
static void add_rest(const worker *me, const matrix *w, int first, int last, activations rest, int m, float *sums, size_t stride,
                     float *more) {
    for (int i = 0; i < m; i++) {
        const activations one = from_place(rest, i, w->columns);
        if (*one.step < 0) continue;
        me->k->rows(w, first, last, one, 1, more - first, stride, (onward){(const char *)w->data, 0});
        for (int r = 0; r < last - first; r++) sums[i * stride + r] += more[r];
    }
}

/* What is read when rows from `first` to `last` come next. */
static onward stretch(const matrix *w, int first, int last) {
    const int count = last - first < CHUNK ? last - first : CHUNK;
    return (onward){(const char *)w->data + (size_t)first * w->row_bytes, count * w->row_bytes};
}

/* Rows first..last of the matrix with all activations. */
static void some(worker *me, const linear *job, activations all, activations rest, int first, int last, onward then) {
    float *value = me->scratch, *more = value + left_at(job->w->columns); /* [MOST, CHUNK] */
    for (int end; first < last; first = end) {
        end = last - first < CHUNK ? last : first + CHUNK;
        const onward next = end < last ? stretch(job->w, end, last) : then;
        for (int m = 0; m < job->m; m += MOST) {
            linear part = *job;
            part.m = job->m - m < MOST ? job->m - m : MOST;
            part.y += (size_t)m * job->stride;
            me->k->rows(job->w, first, end, from_place(all, m, job->w->columns), part.m, value - first, CHUNK, next);
            if (rest.whole) add_rest(me, job->w, first, end, from_place(rest, m, job->w->columns), part.m, value, CHUNK, more);
            finish_part(me, &part, value, CHUNK, first, end);
        }
    }
}

static void few(worker *me, const linear *job) {
    const matrix *w = job->w;
    activations all = {.x = job->x}, rest = all;
    if (w->kind >= INT8) all = shortened(me, job, 1, &rest);
    tickets *counter = me->phase++;
    int first, last, next, end;
    const int behind = own_chunk(me->thread, w->rows, LEAST, &first, &last);
    for (int more = 1; more; first = behind + next, last = behind + end) {
        onward then = stretch(w, last, last);
        more = take_fewer(counter, w->rows - behind, LEAST, &next, &end);
        if (more) {
            then = stretch(w, behind + next, behind + end);
        } else if (job->next) {
            own_chunk(me->thread, job->next->rows, LEAST, &next, &end);
            then = stretch(job->next, next, end);
        }
        some(me, job, all, rest, first, last, then);
    }
}

void panel_of(const float *from, size_t stride, int n, int count, float factor, float *to, int wide) {
    for (int k = 0; k < count; k++) {
        for (int j = 0; j < n; j++) to[k * wide + j] = from[j * stride + k] * factor;
        for (int j = n; j < wide; j++) to[k * wide + j] = 0.0f;
    }
}

/* Activations as the tiles read them: blocks of DEEP columns, in each panels of TALL activations, [column][TALL]. */
static void pack_activations(worker *me, const linear *job) {
    const int tall = me->k->tall, columns = job->w->columns, panels = padded(job->m, tall) / tall;
    tickets *counter = me->phase++;
    for (int panel, end; take(counter, panels, 1, &panel, &end);)
        for (int block = 0; block < columns; block += DEEP) {
            const int deep = columns - block < DEEP ? columns - block : DEEP, m = panel * tall;
            float *to = job->packed + (size_t)block * panels * tall + (size_t)panel * deep * tall;
            panel_of(job->x + (size_t)m * columns + block, columns, job->m - m < tall ? job->m - m : tall, deep, 1.0f, to, tall);
        }
}

/* WIDE rows of the matrix as a tile reads them: [column][WIDE]. */
static void pack_weights(worker *me, const linear *job, int first, int n, int block, int deep, float *to) {
    const int wide = me->k->wide;
    float *lines = to + (size_t)DEEP * wide; /* a few columns of all rows, which stay in the first cache */
    for (int from = 0; from < deep; from += BAND) {
        const int count = deep - from < BAND ? deep - from : BAND;
        for (int j = 0; j < n; j++) me->k->row(job->w, first + j, block + from, count, lines + j * LINE);
        panel_of(lines, LINE, n, count, 1.0f, to + (size_t)from * wide, wide);
    }
}

static void many(worker *me, const linear *job) {
    const int wide = me->k->wide, tall = me->k->tall, rows = job->w->rows, columns = job->w->columns;
    const int panels = padded(job->m, tall) / tall;
    pack_activations(me, job);
    meet();
    tickets *counter = me->phase++;
    for (int first, last; take(counter, rows, wide, &first, &last);) {
        for (int block = 0; block < columns; block += DEEP) {
            const int deep = columns - block < DEEP ? columns - block : DEEP;
            pack_weights(me, job, first, last - first, block, deep, me->scratch);
            for (int panel = 0; panel < panels; panel++) {
                const int m = panel * tall, count = job->m - m < tall ? job->m - m : tall;
                const float *left = job->packed + (size_t)block * panels * tall + (size_t)panel * deep * tall;
                me->k->tile(deep, left, me->scratch, wide, job->y + m * job->stride + first, job->stride, count,
                            last - first, block > 0 || job->finish == ADD);
            }
        }
        linear rest = *job;
        if (job->finish == ADD) rest.finish = STORE; /* the sums are in y already: only the bias is left */
        finish_part(me, &rest, job->y + first, job->stride, first, last);
    }
}

/* INT8 and INT4 matrices times activations in 16 bits. There are at least as many of those as a tile has: the last tile takes
 * some again. */
static void many_whole(worker *me, const linear *job) {
    const int wide = me->k->wide, tall = me->k->tall, rows = job->w->rows, columns = job->w->columns;
    activations rest;
    const activations all = shortened(me, job, 0, &rest);
    float *sums = me->scratch, *packed = sums + TALLEST * WIDEST, *more = sums + whole_floats(columns);
    tickets *counter = me->phase++;
    for (int first, last; take(counter, rows, wide, &first, &last);) {
        me->k->whole_pack(job->w, first, last - first, packed);
        for (int m = 0; m < job->m; m += tall) {
            const int from = m + tall <= job->m ? m : job->m - tall;
            const activations some = from_place(all, from, columns);
            me->k->whole_tile(job->w, packed, some.whole, some.step, sums);
            add_rest(me, job->w, first, last, from_place(rest, from, columns), tall, sums, (size_t)wide, more);
            linear part = *job;
            part.m = from + tall - m;
            part.y += (size_t)m * job->stride;
            finish_part(me, &part, sums + (m - from) * wide, wide, first, last);
        }
    }
}

/* Whether 16 bits are too few for one of a prompt's activations. */
static int too_few(worker *me, const linear *job) {
    const int columns = job->w->columns;
    int16_t *whole = (int16_t *)me->scratch;
    float *step = me->scratch + left_at(columns);
    tickets *counter = me->phase++, *found = me->phase++;
    for (int m, last; take(counter, job->m, 1, &m, &last);)
        if (me->k->shorten(job->x + (size_t)m * columns, columns, whole, step)) take(found, INT_MAX, 1, &m, &last);
    meet();
    return found->next > 0;
}

void linear_run(worker *me, const linear *job) {
    if (!job->together || job->m <= me->k->few[job->w->kind]) few(me, job);
    else if (me->k->together && (job->w->kind != INT8 || !too_few(me, job))) me->k->together(me, job);
    else if (me->k->whole_tile && job->w->kind >= INT8) many_whole(me, job);
    else many(me, job);
}
