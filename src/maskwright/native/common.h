/* What the kernels share: bfloat16 to and from fp32, exp, and which values dropout keeps. */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;
typedef uint32_t __attribute__((may_alias)) word; /* two bf16 values side by side */

static inline __m512i widened(const bf16 *from) { return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)from)); }

/* 16 values as fp32. */
static inline __m512 wide(const bf16 *from) { return _mm512_castsi512_ps(_mm512_slli_epi32(widened(from), 16)); }

/* 16 values to bf16, rounded to nearest even. */
static inline void narrow(bf16 *to, __m512 x) { _mm256_storeu_si256((__m256i *)to, (__m256i)_mm512_cvtneps_pbh(x)); }

/* 16 values to the lower (shift 0) or upper (16) halves of words; the lower ones first. */
static inline void put_half(word *to, __m512 x, uint32_t shift)
{
    __m512i half = _mm512_slli_epi32(_mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(x)), shift);
    _mm512_storeu_si512(to, shift ? _mm512_or_si512(_mm512_loadu_si512(to), half) : half);
}

/* The first ``count`` of 16 lanes; none where it is not above 0. */
static inline __mmask16 first_lanes(long count)
{
    return count >= 16 ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
}

/* e^x to about 2e-7 of it; 0 below -104. */
static inline __m512 exp_ps(__m512 x)
{
    const __m512 t = _mm512_mul_ps(_mm512_max_ps(x, _mm512_set1_ps(-104)), _mm512_set1_ps(1.442695041f));
    const __m512 whole = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    const __m512 rest = _mm512_sub_ps(t, whole);
    __m512 y = _mm512_set1_ps(1.540353e-4f);
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(1.3333558e-3f));
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(9.6181291e-3f));
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(5.5504109e-2f));
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(2.4022651e-1f));
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(6.9314718e-1f));
    y = _mm512_fmadd_ps(y, rest, _mm512_set1_ps(1.0f));
    return _mm512_scalef_ps(y, whole);
}

/* LayerNorm of a row in its place, whose values' sum is known, lane by lane; width is a multiple of 16. */
static inline void norm_row(float *y, __m512 total, const float *gain, const float *shift, float eps, long width)
{
    const __m512 mean = _mm512_set1_ps(_mm512_reduce_add_ps(total) / width);
    __m512 squares = _mm512_setzero_ps();
    for (long d = 0; d < width; d += 16) {
        const __m512 off = _mm512_sub_ps(_mm512_loadu_ps(y + d), mean);
        squares = _mm512_fmadd_ps(off, off, squares);
    }
    const __m512 rstd = _mm512_set1_ps(1 / sqrtf(_mm512_reduce_add_ps(squares) / width + eps));
    for (long d = 0; d < width; d += 16) {
        const __m512 unit = _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(y + d), mean), rstd);
        _mm512_storeu_ps(y + d, _mm512_fmadd_ps(unit, _mm512_loadu_ps(gain + d), _mm512_loadu_ps(shift + d)));
    }
}

/* Which of 32 values stay: 16-bit lanes of eight words of SplitMix64 (Steele et al. 2014), from word ``first`` of ``key`` on.
 * The same bits as nn/dropout.py's. */
static inline __mmask32 keep32(uint64_t key, uint64_t first, long dropped)
{
    const __m512i lane = _mm512_set_epi64(8, 7, 6, 5, 4, 3, 2, 1);
    __m512i z = _mm512_add_epi64(_mm512_set1_epi64((long long)first), lane);
    z = _mm512_mullo_epi64(z, _mm512_set1_epi64((long long)0x9E3779B97F4A7C15ull));
    z = _mm512_add_epi64(z, _mm512_set1_epi64((long long)key));
    z = _mm512_xor_si512(z, _mm512_srli_epi64(z, 30));
    z = _mm512_mullo_epi64(z, _mm512_set1_epi64((long long)0xBF58476D1CE4E5B9ull));
    z = _mm512_xor_si512(z, _mm512_srli_epi64(z, 27));
    z = _mm512_mullo_epi64(z, _mm512_set1_epi64((long long)0x94D049BB133111EBull));
    z = _mm512_xor_si512(z, _mm512_srli_epi64(z, 31));
    return _mm512_cmpge_epi16_mask(z, _mm512_set1_epi16((short)(dropped - 32768)));
}
