/* What closes a sub-layer: LayerNorm(x + dropout(f)), forward and backward, each in one pass over the rows.
 *
 * x and the result are fp32, f is bfloat16: the residual stream keeps its precision where matrix products run in bf16.
 * Ba et al. 2016, https://arxiv.org/abs/1607.06450
 */
#include "common.h"

#include <math.h>
#include <stdlib.h>

enum { CHUNK = 64 }; /* rows whose weight gradients are summed apart, so that the sum does not depend on the threads */

typedef struct {
    const float *x;
    const bf16 *f;
    long width; /* a multiple of 32 */
    long dropped; /* of 65,536 values */
    uint64_t key;
} Sum;

/* 32 values of row ``row`` of f, after dropout; ``stays`` says which stayed. */
static inline void dropped_f(const Sum *s, long row, long d, float factor, __m512 *low, __m512 *high, __mmask32 *stays)
{
    *stays = s->dropped ? keep32(s->key, (uint64_t)(row * s->width + d) / 4, s->dropped) : ~0u;
    const __m512 scale = _mm512_set1_ps(factor);
    *low = _mm512_maskz_mul_ps((__mmask16)*stays, wide(s->f + row * s->width + d), scale);
    *high = _mm512_maskz_mul_ps((__mmask16)(*stays >> 16), wide(s->f + row * s->width + d + 16), scale);
}

static float factor_of(long dropped) { return 65536.f / (65536 - dropped); }

int add_norm_forward(
    const float *x, const bf16 *f, const float *weight, const float *bias, float *y, float *stats, long rows, long width,
    float eps, long dropped, uint64_t key, int threads)
{
    const Sum s = {x, f, width, dropped, key};
    const float factor = factor_of(dropped);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long row = 0; row < rows; row++) {
        float *to = y + row * width;
        __m512 total = _mm512_setzero_ps(), squares = _mm512_setzero_ps();
        for (long d = 0; d < width; d += 32) {
            __m512 low, high;
            __mmask32 stays;
            dropped_f(&s, row, d, factor, &low, &high, &stays);
            low = _mm512_add_ps(low, _mm512_loadu_ps(x + row * width + d));
            high = _mm512_add_ps(high, _mm512_loadu_ps(x + row * width + d + 16));
            _mm512_storeu_ps(to + d, low);
            _mm512_storeu_ps(to + d + 16, high);
            total = _mm512_add_ps(total, _mm512_add_ps(low, high));
        }
        const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(total) / width);
        for (long d = 0; d < width; d += 16) { /* apart from the mean: the sum of squares alone would cancel */
            const __m512 off = _mm512_sub_ps(_mm512_loadu_ps(to + d), mean);
            squares = _mm512_fmadd_ps(off, off, squares);
        }
        const float rstd = 1 / sqrtf(_mm512_reduce_add_ps(squares) / width + eps);
        for (long d = 0; d < width; d += 16) {
            const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(to + d), mean), _mm512_set1_ps(rstd));
            _mm512_storeu_ps(to + d, _mm512_fmadd_ps(unit, _mm512_loadu_ps(weight + d), _mm512_loadu_ps(bias + d)));
        }
        stats[2 * row] = _mm512_cvtss_f32(mean);
        stats[2 * row + 1] = rstd;
    }
    return 0;
}

/* sums: (2, width), the gradients of weight and bias.  Returns 0, or 1 where there was no memory. */
int add_norm_backward(
    const float *grad, const float *x, const bf16 *f, const float *weight, const float *stats, float *dx, bf16 *df,
    float *sums, long rows, long width, long dropped, uint64_t key, int threads)
{
    const Sum s = {x, f, width, dropped, key};
    const float factor = factor_of(dropped);
    const long chunks = (rows + CHUNK - 1) / CHUNK;
    float *parts = calloc((size_t)chunks * 2 * width, sizeof(float));
    if (parts == NULL)
        return 1;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long chunk = 0; chunk < chunks; chunk++) {
        float *dw = parts + chunk * 2 * width, *db = dw + width;
        for (long row = chunk * CHUNK; row < rows && row < (chunk + 1) * CHUNK; row++) {
            const float *g = grad + row * width;
            float *to = dx + row * width;
            const __m512 mean = _mm512_set1_ps(stats[2 * row]), rstd = _mm512_set1_ps(stats[2 * row + 1]);
            __m512 along = _mm512_setzero_ps(), across = _mm512_setzero_ps();
            for (long d = 0; d < width; d += 32) {
                __m512 part[2];
                __mmask32 stays;
                dropped_f(&s, row, d, factor, part, part + 1, &stays);
                for (int half = 0; half < 2; half++) {
                    const long at = d + 16 * half;
                    const __m512 z = _mm512_add_ps(part[half], _mm512_loadu_ps(x + row * width + at));
                    const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(z, mean), rstd), here = _mm512_loadu_ps(g + at);
                    const __m512 weighted = _mm512_mul_ps(here, _mm512_loadu_ps(weight + at));
                    along = _mm512_add_ps(along, weighted);
                    across = _mm512_fmadd_ps(weighted, unit, across);
                    _mm512_storeu_ps(dw + at, _mm512_fmadd_ps(here, unit, _mm512_loadu_ps(dw + at)));
                    _mm512_storeu_ps(db + at, _mm512_add_ps(here, _mm512_loadu_ps(db + at)));
                    _mm512_storeu_ps(to + at, unit);
                }
            }
            const __m512 a = _mm512_set1_ps(_mm512_reduce_add_ps(along) / width);
            const __m512 c = _mm512_set1_ps(_mm512_reduce_add_ps(across) / width);
            for (long d = 0; d < width; d += 32) {
                const __mmask32 stays = dropped ? keep32(key, (uint64_t)(row * width + d) / 4, dropped) : ~0u;
                for (int half = 0; half < 2; half++) {
                    const long at = d + 16 * half;
                    const __m512 weighted = _mm512_mul_ps(_mm512_loadu_ps(g + at), _mm512_loadu_ps(weight + at));
                    const __m512 rest = _mm512_sub_ps(_mm512_sub_ps(weighted, a), _mm512_mul_ps(_mm512_loadu_ps(to + at), c));
                    const __m512 dz = _mm512_mul_ps(rest, rstd);
                    _mm512_storeu_ps(to + at, dz);
                    narrow(df + row * width + at, _mm512_maskz_mul_ps((__mmask16)(stays >> 16 * half), dz, _mm512_set1_ps(factor)));
                }
            }
        }
    }
    memset(sums, 0, sizeof(float) * 2 * width);
    for (long chunk = 0; chunk < chunks; chunk++)
        for (long d = 0; d < 2 * width; d++)
            sums[d] += parts[chunk * 2 * width + d];
    free(parts);
    return 0;
}
