/* Post-norm blocks as they serve: attention, feed-forward network, residuals and LayerNorms, without gradients or dropout.
 *
 * Work is cut by sequences, into groups of about GROUP tokens: a group passes all blocks while its queries, keys, values and
 * inner states stay in one core's cache, and no thread waits for another.  Where there are too few groups for the threads,
 * the threads share one, a step after the other.  Products are the library's (``Product``); what stands behind each is
 * done while its result is still in the cache.  The residual stream is fp32, what goes into products is bfloat16.
 * Every row is computed the same way whatever stands beside it: the bits do not depend on the number of threads.
 */
#include "product.h"

#include <omp.h>
#include <stdlib.h>

enum { GROUP = 128, STATES = 128 * 384 }; /* tokens of a group; values of states that pass products at once, to stay in the cache */

typedef struct { /* in the order in which nn/served.py gives them */
    Product *product;
    Release *release;
    long whole;
    Matrix query, key_value, out, up, down;
    const float *gain, *shift, *feed_gain, *feed_shift;
} Parts;

typedef struct {
    const Parts *parts;
    const float *x;
    float *y;
    const int32_t *cu, *q_cu;
    const int64_t *rows; /* which tokens ask, or NULL: all */
    long width, heads, feed; /* multiples of 16 */
    long panel; /* rows that pass products at once, a multiple of UNIT */
    float scale, eps;
    Way way;
} Block;

/* Some sequences, and what is computed of them on the way. */
typedef struct {
    long first, q_first, sequences, tokens, queries;
    const int32_t *cu, *q_cu; /* from the group's first token on */
    bf16 *query, *key_value, *seen; /* where they are does not change from layer to layer: threads may be in two of them */
} Group;

/* What a thread works in. */
typedef struct {
    Operand states, inner; /* (panel, D), (panel, F) */
    bf16 *activated; /* (panel, F), where it is to become whole numbers */
    float *product, *sum; /* (panel, 64) or (panel, D), (panel, D) */
    int32_t *cu, *q_cu; /* the group's */
    char *attention;
} Room;

/* to (rows, columns) = states times a matrix, narrowed. */
static void project(const Block *s, const Room *room, long rows, const Matrix *m, long columns, bf16 *to)
{
    for (long n = 0; n < columns; n += WIDE) {
        multiply(s->way, room->states.values, rows, m, s->width, n, WIDE, room->product, WIDE);
        for (long i = 0; i < rows; i++)
            for (long j = n; j < least(columns, n + WIDE); j += 16)
                narrow(to + i * columns + j, result(s->way, &room->states, i, m, room->product + i * WIDE + j - n, j));
    }
}

/* x Φ(x); the normal distribution's tail by Abramowitz and Stegun's 7.1.26, to 1.5e-7. */
static inline __m512 gelu(__m512 x)
{
    const __m512 z = _mm512_mul_ps(_mm512_abs_ps(x), _mm512_set1_ps(0.70710678f));
    const __m512 d = _mm512_fmadd_ps(z, _mm512_set1_ps(0.3275911f), _mm512_set1_ps(1));
    __m512 t = _mm512_rcp14_ps(d);
    t = _mm512_mul_ps(t, _mm512_fnmadd_ps(d, t, _mm512_set1_ps(2)));
    __m512 p = _mm512_fmadd_ps(t, _mm512_set1_ps(1.061405429f), _mm512_set1_ps(-1.453152027f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(1.421413741f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(-0.284496736f));
    p = _mm512_fmadd_ps(p, t, _mm512_set1_ps(0.254829592f));
    p = _mm512_mul_ps(_mm512_mul_ps(p, t), _mm512_set1_ps(0.5f));
    const __m512 tail = _mm512_mul_ps(p, exp_ps(_mm512_mul_ps(z, _mm512_sub_ps(_mm512_setzero_ps(), z))));
    const __mmask16 above = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_GT_OQ);
    return _mm512_mul_ps(x, _mm512_mask_sub_ps(tail, above, _mm512_set1_ps(1), tail));
}

/* y = LayerNorm(x + row of a product). */
static void add_norm(
    const Block *s, const float *x, const Operand *a, long row, const Matrix *m, const float *product, const float *gain,
    const float *shift, float *y)
{
    const long width = s->width;
    __m512 total = _mm512_setzero_ps();
    for (long d = 0; d < width; d += 16) {
        const __m512 sum = _mm512_add_ps(_mm512_loadu_ps(x + d), result(s->way, a, row, m, product + d, d));
        _mm512_storeu_ps(y + d, sum);
        total = _mm512_add_ps(total, sum);
    }
    norm_row(y, total, gain, shift, s->eps, width);
}

/* Which token the group's query i is. */
static inline long token(const Block *s, const Group *g, long i)
{
    return s->rows == NULL ? g->first + i : s->rows[g->q_first + i];
}

/* Keys and values of the group's tokens from ``first`` on, at most a panel; queries with them where all tokens ask. */
static void look(const Block *s, const Group *g, long first, long rows, const Room *room)
{
    const Parts *p = s->parts;
    for (long i = 0; i < rows; i++)
        put_row(s->way, &room->states, i, s->width, &p->key_value, s->x + (g->first + first + i) * s->width, NULL);
    project(s, room, rows, &p->key_value, 2 * s->width, g->key_value + first * 2 * s->width);
    if (s->rows == NULL)
        project(s, room, rows, &p->query, s->width, g->query + first * s->width);
}

/* Queries of some tokens alone. */
static void ask(const Block *s, const Group *g, long first, long rows, const Room *room)
{
    for (long i = 0; i < rows; i++)
        put_row(s->way, &room->states, i, s->width, &s->parts->query, s->x + token(s, g, first + i) * s->width, NULL);
    project(s, room, rows, &s->parts->query, s->width, g->query + first * s->width);
}

static void attend(const Block *s, const Group *g, long sequence, long head, const Room *room)
{
    const long width = s->width / s->heads;
    const Shape shape = {g->q_cu, g->cu, g->sequences, s->heads, width, 0, s->scale, 0, 0};
    const Side key = {g->key_value, 2 * s->width, width}, value = {g->key_value + s->width, 2 * s->width, width};
    attend_one(&shape, (Side){g->query, s->width, width}, key, value, g->seen, NULL, sequence, head, room->attention);
}

/* All behind attention, for the group's queries from ``first`` on, at most a panel. */
static void feed(const Block *s, const Group *g, long first, long rows, const Room *room)
{
    const Parts *p = s->parts;
    const Way way = s->way;
    const long width = s->width, wide = up_to(width, WIDE), feed = s->feed;
    const Operand seen = {(uint8_t *)(g->seen + first * width), NULL, NULL};
    const Operand *looked = way.whole ? &room->states : &seen;
    for (long i = 0; way.whole && i < rows; i++)
        put_row(way, looked, i, width, &p->out, NULL, g->seen + (first + i) * width);
    multiply(way, looked->values, rows, &p->out, width, 0, width, room->product, wide);
    for (long i = 0; i < rows; i++)
        add_norm(s, s->x + token(s, g, first + i) * width, looked, i, &p->out, room->product + i * wide, p->gain, p->shift,
                 room->sum + i * width);
    for (long i = 0; i < rows; i++)
        put_row(way, &room->states, i, width, &p->up, room->sum + i * width, NULL);
    bf16 *activated = way.whole ? room->activated : (bf16 *)room->inner.values;
    for (long n = 0; n < feed; n += WIDE) {
        multiply(way, room->states.values, rows, &p->up, width, n, WIDE, room->product, WIDE);
        for (long i = 0; i < rows; i++)
            for (long j = n; j < least(feed, n + WIDE); j += 16)
                narrow(activated + i * feed + j,
                       gelu(result(way, &room->states, i, &p->up, room->product + i * WIDE + j - n, j)));
    }
    for (long i = 0; way.whole && i < rows; i++)
        put_row(way, &room->inner, i, feed, &p->down, NULL, activated + i * feed);
    multiply(way, room->inner.values, rows, &p->down, feed, 0, width, room->product, wide);
    for (long i = 0; i < rows; i++)
        add_norm(s, room->sum + i * width, &room->inner, i, &p->down, room->product + i * wide, p->feed_gain, p->feed_shift,
                 s->y + (g->q_first + first + i) * width);
}

/* One group through a block, by thread ``me`` of so many that share it; each looks again at the rows that it fed itself. */
static void pass(const Block *s, const Group *g, const Room *room, long me, long team)
{
    const long rows = least(s->panel, up_to((g->tokens + team - 1) / team, UNIT));
    for (long i = me * rows; i < g->tokens; i += team * rows)
        look(s, g, i, least(rows, g->tokens - i), room);
    if (s->rows != NULL) {
        if (team > 1) { /* they may be what another thread computed */
#pragma omp barrier
        }
        for (long i = me * rows; i < g->queries; i += team * rows)
            ask(s, g, i, least(rows, g->queries - i), room);
    }
    if (team > 1) {
#pragma omp barrier
    }
    for (long item = me; item < g->sequences * s->heads; item += team)
        attend(s, g, item / s->heads, item % s->heads, room);
    if (team > 1) {
#pragma omp barrier
    }
    for (long i = me * rows; i < g->queries; i += team * rows)
        feed(s, g, i, least(rows, g->queries - i), room);
}

/* What two sizes have in common: rows of tokens, or of queries where those that fill up make them more. */
static long group_rows(const Block *last, long from, long to)
{
    return up_to(most(last->cu[to] - last->cu[from], last->q_cu[to] - last->q_cu[from]), UNIT);
}

static Group group_in(char *memory, const Room *room, const Block *s, long rows, long from, long to)
{
    Group g = {.first = s->cu[from], .q_first = s->q_cu[from], .sequences = to - from, .cu = room->cu, .q_cu = room->q_cu};
    g.tokens = s->cu[to] - g.first;
    g.queries = s->q_cu[to] - g.q_first;
    g.query = (bf16 *)memory;
    g.seen = g.query + rows * s->width;
    g.key_value = g.seen + rows * s->width;
    for (long b = 0; b <= g.sequences; b++) {
        room->cu[b] = s->cu[from + b] - g.first;
        room->q_cu[b] = s->q_cu[from + b] - g.q_first;
    }
    return g;
}

/* Some sequences through all blocks, by thread ``me`` of so many. */
static void pass_all(const Block *s, long layers, char *memory, const Room *room, long from, long to, long me, long team)
{
    const long rows = group_rows(&s[layers - 1], from, to);
    for (long n = 0; n < layers; n++) {
        const Group g = group_in(memory, room, &s[n], rows, from, to);
        pass(&s[n], &g, room, me, team);
    }
}

static size_t room_size(const Block *s, long sequences, long longest)
{
    const long rows = s->panel * (6 * s->width + 4 * up_to(s->width, WIDE) + 2 * s->feed * (1 + s->way.whole) + 16);
    return up_to(rows + 8 * (sequences + 1), 64) + attend_room(longest, s->width / s->heads);
}

static Room room_in(char *memory, const Block *s, long sequences)
{
    Room room = {.sum = (float *)memory};
    room.product = room.sum + s->panel * s->width;
    room.states.step = room.product + s->panel * up_to(s->width, WIDE);
    room.states.zero = room.states.step + s->panel;
    room.inner.step = room.states.zero + s->panel;
    room.inner.zero = room.inner.step + s->panel;
    room.states.values = (uint8_t *)(room.inner.zero + s->panel);
    room.inner.values = room.states.values + s->panel * 2 * s->width;
    room.activated = (bf16 *)(room.inner.values + s->panel * 2 * s->feed);
    room.cu = (int32_t *)(room.activated + s->way.whole * s->panel * s->feed);
    room.q_cu = room.cu + sequences + 1;
    room.attention = memory + up_to((char *)(room.q_cu + sequences + 1) - memory, 64);
    return room;
}

/* x (T, D) -> y (layers - 1, T, D) and last (R, D), fp32: what comes out of each block, of the last one for the tokens
 * ``rows``, which are in the sequences that q_cu says; for all tokens where rows is NULL and q_cu is cu.
 * Returns 0, or 1 where there was no memory. */
int serve_stack(
    const Parts *parts, long layers, const float *x, float *y, float *last, long tokens, const int32_t *cu, const int64_t *rows,
    const int32_t *q_cu, long sequences, long width, long heads, long feed, float scale, float eps, int threads)
{
    long *starts = malloc(sizeof(long) * (sequences + 1)), groups = 0, longest = 0, size = 0, members = 0;
    const long panel = most(UNIT, least(GROUP, STATES / width / UNIT * UNIT));
    Block *s = malloc(sizeof(Block) * layers);
    for (long b = 0; starts != NULL && b < sequences; b++) {
        if (b == 0 || cu[b + 1] - cu[starts[groups - 1]] > GROUP)
            starts[groups++] = b;
        longest = most(longest, cu[b + 1] - cu[b]);
    }
    if (groups < 2 * threads)
        groups = least(1, groups);
    for (long n = 0; s != NULL && n < layers; n++) {
        const int ends = n == layers - 1;
        s[n] = (Block){&parts[n], n ? y + (n - 1) * tokens * width : x, ends ? last : y + n * tokens * width, cu,
                       ends ? q_cu : cu, ends ? rows : NULL, width, heads, feed, panel, scale, eps,
                       {parts->product, parts->whole}};
    }
    char *memory = NULL;
    if (starts != NULL && s != NULL) {
        starts[groups] = sequences;
        for (long n = 0; n < groups; n++) {
            size = most(size, up_to(8 * width * group_rows(&s[layers - 1], starts[n], starts[n + 1]), 64));
            members = most(members, starts[n + 1] - starts[n]);
        }
        const size_t each = room_size(s, members, longest), shared = groups > 1 ? 0 : size, own = groups > 1 ? size : 0;
        memory = aligned_alloc(64, shared + threads * (own + each));
        if (memory != NULL) {
#pragma omp parallel num_threads(threads)
            {
                char *mine = memory + shared + omp_get_thread_num() * (own + each);
                const Room room = room_in(mine + own, s, members);
                if (groups == 1)
                    pass_all(s, layers, memory, &room, 0, sequences, omp_get_thread_num(), omp_get_num_threads());
                else
#pragma omp for schedule(dynamic, 1)
                    for (long n = 0; n < groups; n++)
                        pass_all(s, layers, mine, &room, starts[n], starts[n + 1], 0, 1);
                parts->release(1);
            }
        }
    }
    const int failed = memory == NULL;
    free(memory);
    free(s);
    free(starts);
    return failed;
}
