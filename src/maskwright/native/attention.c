/* Attention over sequences laid end to end, in bfloat16: forward and backward, with dropout inside.
 *
 * A piece of work is one head of one sequence: its keys and values are packed once in pairs, as the bf16 dot product wants
 * them, and then met by a block of queries at a time, so that scores never leave the cache.  Sums are in fp32.  The backward
 * computes the weights again from the logarithm of each row's sum (Dao et al. 2022, https://arxiv.org/abs/2205.14135).
 * Every row of every output is written by one piece of work: the bits do not depend on the number of threads.
 */
#include "attention.h"

#include <math.h>
#include <stdlib.h>

enum { ROWS = 6, BLOCK = 24 }; /* rows of a tile; queries of a block, a multiple of it and even */

/* c (rows x 16 NR) = or += a b, with a's and b's values in pairs: k counts pairs, steps are in pairs. */
static inline __attribute__((always_inline)) void tile(
    const word *a, long a_row, long a_k, const word *b, long b_k, float *c, long c_row, long k, int add, const int MR,
    const int NR)
{
    __m512 sum[ROWS][4];
    for (int m = 0; m < MR; m++)
        for (int n = 0; n < NR; n++)
            sum[m][n] = add ? _mm512_loadu_ps(c + m * c_row + 16 * n) : _mm512_setzero_ps();
    for (long i = 0; i < k; i++) {
        __m512bh right[4];
        for (int n = 0; n < NR; n++)
            right[n] = (__m512bh)_mm512_loadu_si512(b + i * b_k + 16 * n);
        for (int m = 0; m < MR; m++) {
            __m512bh left = (__m512bh)_mm512_set1_epi32((int)a[m * a_row + i * a_k]);
            for (int n = 0; n < NR; n++)
                sum[m][n] = _mm512_dpbf16_ps(sum[m][n], left, right[n]);
        }
    }
    for (int m = 0; m < MR; m++)
        for (int n = 0; n < NR; n++)
            _mm512_storeu_ps(c + m * c_row + 16 * n, sum[m][n]);
}

/* The same for any number of rows and for columns that are a multiple of 16. */
static void product(
    const word *a, long a_row, long a_k, const word *b, long b_k, float *c, long c_row, long rows, long columns, long k,
    int add)
{
#define TILE(MR, NR) tile(a + m * a_row, a_row, a_k, b + n, b_k, c + m * c_row + n, c_row, k, add, MR, NR)
#define TILES(NR)                                 \
    switch (rows - m < ROWS ? rows - m : ROWS) { \
    case 1: TILE(1, NR); break;                   \
    case 2: TILE(2, NR); break;                   \
    case 3: TILE(3, NR); break;                   \
    case 4: TILE(4, NR); break;                   \
    case 5: TILE(5, NR); break;                   \
    default: TILE(6, NR);                         \
    }
    for (long n = 0, wide; n < columns; n += wide) {
        wide = columns - n >= 64 ? 64 : columns - n >= 32 ? 32 : 16;
        for (long m = 0; m < rows; m += ROWS) {
            if (wide == 64) { TILES(4) } else if (wide == 32) { TILES(2) } else { TILES(1) }
        }
    }
#undef TILES
#undef TILE
}

/* 16 x 16 words: rows of ``from`` become columns of ``to``; rows behind ``rows`` count as zeros. */
static void transpose(const word *from, long from_row, long rows, word *to, long to_row)
{
    __m512i x[16], y[16];
    for (int i = 0; i < 16; i++)
        x[i] = i < rows ? _mm512_loadu_si512(from + i * from_row) : _mm512_setzero_si512();
    for (int i = 0; i < 16; i += 2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        x[i] = _mm512_unpacklo_epi64(y[i], y[i + 2]);
        x[i + 1] = _mm512_unpackhi_epi64(y[i], y[i + 2]);
        x[i + 2] = _mm512_unpacklo_epi64(y[i + 1], y[i + 3]);
        x[i + 3] = _mm512_unpackhi_epi64(y[i + 1], y[i + 3]);
    }
    for (int j = 0; j < 4; j++) {
        __m512i low = _mm512_shuffle_i32x4(x[j], x[4 + j], 0x88), high = _mm512_shuffle_i32x4(x[j], x[4 + j], 0xdd);
        __m512i low2 = _mm512_shuffle_i32x4(x[8 + j], x[12 + j], 0x88);
        __m512i high2 = _mm512_shuffle_i32x4(x[8 + j], x[12 + j], 0xdd);
        _mm512_storeu_si512(to + j * to_row, _mm512_shuffle_i32x4(low, low2, 0x88));
        _mm512_storeu_si512(to + (4 + j) * to_row, _mm512_shuffle_i32x4(high, high2, 0x88));
        _mm512_storeu_si512(to + (8 + j) * to_row, _mm512_shuffle_i32x4(low, low2, 0xdd));
        _mm512_storeu_si512(to + (12 + j) * to_row, _mm512_shuffle_i32x4(high, high2, 0xdd));
    }
}

/* (rows, H) -> pairs along H, (H / 2, padded): what scores multiply queries with. */
static void pack_across(const bf16 *from, long row, long rows, long width, word *to, long padded)
{
    for (long j = 0; j < padded; j += 16)
        for (long h = 0; h < width / 2; h += 16) {
            long left = rows - j < 16 ? rows - j : 16;
            if (width / 2 - h >= 16) {
                transpose((const word *)(from + j * row) + h, row / 2, left, to + h * padded + j, padded);
                continue;
            }
            for (long x = h; x < width / 2; x++)
                for (long i = 0; i < 16; i++)
                    to[x * padded + j + i] = i < left ? ((const word *)(from + (j + i) * row))[x] : 0;
        }
}

/* (rows, H) -> pairs along the rows, (pairs, H): what weights are multiplied with. */
static void pack_along(const bf16 *from, long row, long rows, long width, word *to, long pairs)
{
    for (long p = 0; p < pairs; p++)
        for (long h = 0; h < width; h += 16) {
            __m512i low = 2 * p < rows ? widened(from + 2 * p * row + h) : _mm512_setzero_si512();
            __m512i high = 2 * p + 1 < rows ? widened(from + (2 * p + 1) * row + h) : _mm512_setzero_si512();
            _mm512_storeu_si512(to + p * width + h, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
        }
}

/* 0 or 1 / (share kept) for 32 weights of one query and head, from place j on. */
static inline void kept(const Shape *s, long query, long head, long j, float factor, __m512 *low, __m512 *high)
{
    if (!s->dropped) {
        *low = *high = _mm512_set1_ps(1);
        return;
    }
    uint64_t first = (((uint64_t)query * s->heads + head) << 18) + j / 4;
    __mmask32 stays = keep32(s->key, first, s->dropped);
    *low = _mm512_maskz_mov_ps((__mmask16)stays, _mm512_set1_ps(factor));
    *high = _mm512_maskz_mov_ps((__mmask16)(stays >> 16), _mm512_set1_ps(factor));
}

static inline long padded_to(long n, long unit) { return (n + unit - 1) / unit * unit; }

size_t attend_room(long keys, long width)
{
    const long padded = padded_to(keys, 32);
    return padded_to(4 * (padded * width + BLOCK * padded + BLOCK * width) + 2 * BLOCK * padded, 64);
}

void attend_one(const Shape *s, Side q, Side k, Side v, bf16 *out, float *lse, long b, long head, char *room)
{
    const long width = s->width, q0 = s->q_cu[b], k0 = s->k_cu[b], queries = s->q_cu[b + 1] - q0, keys = s->k_cu[b + 1] - k0;
    const long padded = padded_to(keys, 32), out_row = s->heads * width;
    if (queries == 0)
        return;
    const float factor = 65536.f / (65536 - s->dropped);
    word *keys_across = (word *)room, *values_along = keys_across + padded * width / 2;
    float *scores = (float *)(values_along + padded / 2 * width), *mixed = scores + BLOCK * padded;
    bf16 *weights = (bf16 *)(mixed + BLOCK * width);
    pack_across(k.at + k0 * k.row + head * k.head, k.row, keys, width, keys_across, padded);
    pack_along(v.at + k0 * v.row + head * v.head, v.row, keys, width, values_along, padded / 2);
    for (long first = 0; first < queries; first += BLOCK) {
        const long rows = queries - first < BLOCK ? queries - first : BLOCK;
        const long seen_here = s->causal && first + rows < keys ? padded_to(first + rows, 32) : padded;
        float sums[BLOCK];
        product((const word *)(q.at + (q0 + first) * q.row + head * q.head), q.row / 2, 1, keys_across, padded, scores,
                padded, rows, seen_here, width / 2, 0);
        for (long i = 0; i < rows; i++) {
            const long seen = s->causal && first + i + 1 < keys ? first + i + 1 : keys;
            float *score = scores + i * padded;
            __m512 most = _mm512_set1_ps(-INFINITY), total = _mm512_setzero_ps();
            for (long j = 0; j < seen; j += 16)
                most = _mm512_mask_max_ps(most, first_lanes(seen - j), most, _mm512_loadu_ps(score + j));
            const float top = _mm512_reduce_max_ps(most);
            const __m512 scale = _mm512_set1_ps(s->scale), less = _mm512_set1_ps(-s->scale * top);
            for (long j = 0; j < seen_here; j += 32) {
                __m512 low = _mm512_maskz_mov_ps(
                    first_lanes(seen - j), exp_ps(_mm512_fmadd_ps(_mm512_loadu_ps(score + j), scale, less)));
                __m512 high = _mm512_maskz_mov_ps(
                    first_lanes(seen - j - 16), exp_ps(_mm512_fmadd_ps(_mm512_loadu_ps(score + j + 16), scale, less)));
                __m512 keep_low, keep_high;
                total = _mm512_add_ps(total, _mm512_add_ps(low, high));
                kept(s, q0 + first + i, head, j, factor, &keep_low, &keep_high);
                __m512bh both = _mm512_cvtne2ps_pbh(_mm512_mul_ps(high, keep_high), _mm512_mul_ps(low, keep_low));
                _mm512_storeu_si512(weights + i * padded + j, (__m512i)both);
            }
            sums[i] = _mm512_reduce_add_ps(total);
            if (lse != NULL)
                lse[(q0 + first + i) * s->heads + head] = s->scale * top + logf(sums[i]);
        }
        product((const word *)weights, padded / 2, 1, values_along, width, mixed, width, rows, width, seen_here / 2, 0);
        for (long i = 0; i < rows; i++)
            for (long h = 0; h < width; h += 16)
                narrow(out + (q0 + first + i) * out_row + head * width + h,
                       _mm512_mul_ps(_mm512_loadu_ps(mixed + i * width + h), _mm512_set1_ps(1 / sums[i])));
    }
}

static void backward_one(
    const Shape *s, Side q, Side k, Side v, Side grad, Side out, const float *lse, bf16 *dq, bf16 *dk, bf16 *dv, long b,
    long head, char *room)
{
    const long width = s->width, q0 = s->q_cu[b], k0 = s->k_cu[b], queries = s->q_cu[b + 1] - q0, keys = s->k_cu[b + 1] - k0;
    const long padded = padded_to(keys, 32), row = s->heads * width;
    const float factor = 65536.f / (65536 - s->dropped);
    word *keys_across = (word *)room, *values_across = keys_across + padded * width / 2;
    word *keys_along = values_across + padded * width / 2, *used_down = keys_along + padded * width / 2;
    word *d_down = used_down + BLOCK / 2 * padded, *grad_along = d_down + BLOCK / 2 * padded;
    word *queries_along = grad_along + BLOCK / 2 * width;
    float *scores = (float *)(queries_along + BLOCK / 2 * width), *d_weights = scores + BLOCK * padded;
    float *mixed = d_weights + BLOCK * padded, *sum_dk = mixed + BLOCK * width, *sum_dv = sum_dk + padded * width;
    bf16 *d_scores = (bf16 *)(sum_dv + padded * width);
    const bf16 *q_at = q.at + q0 * q.row + head * q.head, *g_at = grad.at + q0 * grad.row + head * grad.head;
    const bf16 *o_at = out.at + q0 * out.row + head * out.head;
    pack_across(k.at + k0 * k.row + head * k.head, k.row, keys, width, keys_across, padded);
    pack_across(v.at + k0 * v.row + head * v.head, v.row, keys, width, values_across, padded);
    pack_along(k.at + k0 * k.row + head * k.head, k.row, keys, width, keys_along, padded / 2);
    memset(sum_dk, 0, sizeof(float) * 2 * padded * width);
    for (long first = 0; first < queries; first += BLOCK) {
        const long rows = queries - first < BLOCK ? queries - first : BLOCK, pairs = (rows + 1) / 2;
        const long seen_here = s->causal && first + rows < keys ? padded_to(first + rows, 32) : padded;
        product((const word *)(q_at + first * q.row), q.row / 2, 1, keys_across, padded, scores, padded, rows, seen_here,
                width / 2, 0);
        product((const word *)(g_at + first * grad.row), grad.row / 2, 1, values_across, padded, d_weights, padded, rows,
                seen_here, width / 2, 0);
        for (long i = 0; i < 2 * pairs; i++) {
            const int real = i < rows;
            const long seen = !real ? 0 : s->causal && first + i + 1 < keys ? first + i + 1 : keys;
            __m512 inner = _mm512_setzero_ps();
            for (long h = 0; real && h < width; h += 16)
                inner = _mm512_fmadd_ps(wide(g_at + (first + i) * grad.row + h), wide(o_at + (first + i) * out.row + h), inner);
            const __m512 mean = _mm512_set1_ps(real ? _mm512_reduce_add_ps(inner) : 0);
            const __m512 scale = _mm512_set1_ps(s->scale);
            const __m512 less = _mm512_set1_ps(real ? -lse[(q0 + first + i) * s->heads + head] : 0);
            const word shift = 16 * (i % 2);
            for (long j = 0; j < seen_here; j += 32) {
                __m512 keep[2], d[2];
                kept(s, q0 + first + i, head, j, factor, keep, keep + 1);
                for (int half = 0; half < 2; half++) {
                    const long at = i * padded + j + 16 * half;
                    const __mmask16 lanes = first_lanes(seen - j - 16 * half);
                    __m512 score = _mm512_maskz_loadu_ps(lanes, scores + at);
                    __m512 weight = _mm512_maskz_mov_ps(lanes, exp_ps(_mm512_fmadd_ps(score, scale, less)));
                    __m512 part = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, d_weights + at), keep[half]);
                    d[half] = _mm512_mul_ps(_mm512_mul_ps(weight, scale), _mm512_sub_ps(part, mean));
                    word *down = used_down + i / 2 * padded + j + 16 * half, *d_to = d_down + i / 2 * padded + j + 16 * half;
                    put_half(down, _mm512_mul_ps(weight, keep[half]), shift);
                    put_half(d_to, d[half], shift);
                }
                if (real)
                    _mm512_storeu_si512(d_scores + i * padded + j, (__m512i)_mm512_cvtne2ps_pbh(d[1], d[0]));
            }
        }
        product((const word *)d_scores, padded / 2, 1, keys_along, width, mixed, width, rows, width, seen_here / 2, 0);
        for (long i = 0; i < rows; i++)
            for (long h = 0; h < width; h += 16)
                narrow(dq + (q0 + first + i) * row + head * width + h, _mm512_loadu_ps(mixed + i * width + h));
        pack_along(g_at + first * grad.row, grad.row, rows, width, grad_along, pairs);
        pack_along(q_at + first * q.row, q.row, rows, width, queries_along, pairs);
        product(used_down, 1, padded, grad_along, width, sum_dv, width, seen_here, width, pairs, 1);
        product(d_down, 1, padded, queries_along, width, sum_dk, width, seen_here, width, pairs, 1);
    }
    for (long j = 0; j < keys; j++)
        for (long h = 0; h < width; h += 16) {
            narrow(dk + (k0 + j) * row + head * width + h, _mm512_loadu_ps(sum_dk + j * width + h));
            narrow(dv + (k0 + j) * row + head * width + h, _mm512_loadu_ps(sum_dv + j * width + h));
        }
}

static long longest(const int32_t *cu, long sequences)
{
    long most = 0;
    for (long b = 0; b < sequences; b++)
        most = cu[b + 1] - cu[b] > most ? cu[b + 1] - cu[b] : most;
    return padded_to(most, 32);
}

/* Both return 0, or 1 where there was no memory. */
int attend_forward(
    const bf16 *q, long q_row, long q_head, const bf16 *k, long k_row, long k_head, const bf16 *v, long v_row, long v_head,
    bf16 *out, float *lse, const int32_t *q_cu, const int32_t *k_cu, long sequences, long heads, long width, long causal,
    float scale, long dropped, uint64_t key, int threads)
{
    const Shape s = {q_cu, k_cu, sequences, heads, width, causal, scale, dropped, key};
    const size_t need = attend_room(longest(k_cu, sequences), width);
    int failed = 0;
#pragma omp parallel num_threads(threads) reduction(| : failed)
    {
        char *room = aligned_alloc(64, need);
        failed = room == NULL;
#pragma omp for schedule(dynamic, 1)
        for (long item = 0; item < sequences * heads; item++)
            if (room != NULL)
                attend_one(&s, (Side){q, q_row, q_head}, (Side){k, k_row, k_head}, (Side){v, v_row, v_head}, out, lse,
                           item / heads, item % heads, room);
        free(room);
    }
    return failed;
}

int attend_backward(
    const bf16 *q, long q_row, long q_head, const bf16 *k, long k_row, long k_head, const bf16 *v, long v_row, long v_head,
    const bf16 *grad, long grad_row, long grad_head, const bf16 *out, const float *lse, bf16 *dq, bf16 *dk, bf16 *dv,
    const int32_t *q_cu, const int32_t *k_cu, long sequences, long heads, long width, long causal, float scale, long dropped,
    uint64_t key, int threads)
{
    const Shape s = {q_cu, k_cu, sequences, heads, width, causal, scale, dropped, key};
    const long keys = longest(k_cu, sequences);
    const size_t need =
        4 * (3 * keys * width / 2 + BLOCK * keys + BLOCK * width + 2 * BLOCK * keys + BLOCK * width + 2 * keys * width) +
        2 * BLOCK * keys + 64;
    int failed = 0;
#pragma omp parallel num_threads(threads) reduction(| : failed)
    {
        char *room = aligned_alloc(64, need / 64 * 64 + 64);
        failed = room == NULL;
#pragma omp for schedule(dynamic, 1)
        for (long item = 0; item < sequences * heads; item++)
            if (room != NULL)
                backward_one(&s, (Side){q, q_row, q_head}, (Side){k, k_row, k_head}, (Side){v, v_row, v_head},
                             (Side){grad, grad_row, grad_head}, (Side){out, heads * width, width}, lse, dq, dk, dv,
                             item / heads, item % heads, room);
        free(room);
    }
    return failed;
}
