/* Cross-entropy over a vocabulary, from scores in bfloat16: what eager code does in six passes over them, in two.
 *
 * forward: for each row its loss, the logarithm of its sum and the place of its greatest score; backward: the gradient of the
 * scores.  A label of -100 makes a row count for nothing.
 */
#include "common.h"

#include <math.h>

enum { IGNORED = -100 };

static inline __m512 some(const bf16 *from, __mmask16 lanes)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(lanes, from)), 16));
}

int cross_entropy_forward(
    const bf16 *scores, const int64_t *labels, float *losses, float *sums, int64_t *best, long rows, long classes, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long row = 0; row < rows; row++) {
        const bf16 *at = scores + row * classes;
        __m512 most = _mm512_set1_ps(-INFINITY), total = _mm512_setzero_ps();
        __m512i place = _mm512_setzero_si512(), here = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
        int broken = 0;
        for (long j = 0; j < classes; j += 16) {
            const __mmask16 lanes = first_lanes(classes - j);
            const __m512 x = some(at + j, lanes);
            const __mmask16 higher = _mm512_mask_cmp_ps_mask(lanes, x, most, _CMP_GT_OQ);
            most = _mm512_mask_mov_ps(most, higher, x);
            place = _mm512_mask_mov_epi32(place, higher, here);
            here = _mm512_add_epi32(here, _mm512_set1_epi32(16));
            broken |= _mm512_mask_cmp_ps_mask(lanes, x, x, _CMP_UNORD_Q);
        }
        const float top = _mm512_reduce_max_ps(most);
        const __mmask16 tops = _mm512_cmp_ps_mask(most, _mm512_set1_ps(top), _CMP_EQ_OQ);
        best[row] = _mm512_mask_reduce_min_epi32(tops, place);
        for (long j = 0; j < classes; j += 16) {
            const __mmask16 lanes = first_lanes(classes - j);
            total = _mm512_add_ps(
                total, _mm512_maskz_mov_ps(lanes, exp_ps(_mm512_sub_ps(some(at + j, lanes), _mm512_set1_ps(top)))));
        }
        sums[row] = broken || top == INFINITY ? NAN : top + logf(_mm512_reduce_add_ps(total));
        const uint32_t said = labels[row] == IGNORED ? 0 : (uint32_t)at[labels[row]] << 16;
        float score;
        memcpy(&score, &said, 4);
        losses[row] = labels[row] == IGNORED ? 0 : sums[row] - score;
    }
    return 0;
}

/* grads: of each row's loss. */
int cross_entropy_backward(
    const bf16 *scores, const int64_t *labels, const float *sums, const float *grads, bf16 *d_scores, long rows, long classes,
    int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
    for (long row = 0; row < rows; row++) {
        const bf16 *at = scores + row * classes;
        bf16 *to = d_scores + row * classes;
        if (labels[row] == IGNORED) {
            memset(to, 0, sizeof(bf16) * classes);
            continue;
        }
        const __m512 less = _mm512_set1_ps(sums[row]), grad = _mm512_set1_ps(grads[row]);
        for (long j = 0; j < classes; j += 16) {
            const __mmask16 lanes = first_lanes(classes - j);
            __m512 share = exp_ps(_mm512_sub_ps(some(at + j, lanes), less));
            if (labels[row] >= j && labels[row] < j + 16)
                share = _mm512_mask_sub_ps(share, (__mmask16)(1u << (labels[row] - j)), share, _mm512_set1_ps(1));
            _mm256_mask_storeu_epi16(to + j, lanes, (__m256i)_mm512_cvtneps_pbh(_mm512_mul_ps(share, grad)));
        }
    }
    return 0;
}
