/* Products as serving blocks make them: some rows times a matrix that was laid out before, in bfloat16 or in whole numbers.
 *
 * In whole numbers a row of x goes in as factors_k x_k = step (u_k - zero), u from 0 to 255, and column n of the matrix as
 * steps_n w_kn, w from -127 to 127: a row has its own step and a column too.  The sums are exact.  See nn/whole.py.
 */
#include "attention.h"

enum { WIDE = 64, UNIT = 4 }; /* columns of a panel of a matrix; rows are rounded up to this */

/* c (rows, 64) = a b, as torch's library gives it; b in panels of 64 columns, of which pairs (or fours) along k are side by side. */
typedef void Product(
    long rows, long columns, long k, long a_row, long b_row, long c_row, _Bool add, const void *a, const void *b, void *c,
    _Bool packed);
typedef void Release(_Bool packed);

typedef struct {
    const uint8_t *values;
    const float *bias;
    const float *steps, *sums, *factors; /* in whole numbers: (n), the sums of each column's w (n), (k) */
} Matrix;

typedef struct {
    uint8_t *values; /* (rows, k) of bf16 or u8 */
    float *step, *zero; /* (rows) */
} Operand;

typedef struct {
    Product *product;
    long whole; /* whether in whole numbers */
} Way;

static inline long least(long a, long b) { return a < b ? a : b; }
static inline long most(long a, long b) { return a > b ? a : b; }
static inline long up_to(long n, long unit) { return (n + unit - 1) / unit * unit; }

/* 16 values of a row that is fp32, or else bf16. */
static inline __m512 taken(const float *x, const bf16 *y, long d) { return x != NULL ? _mm512_loadu_ps(x + d) : wide(y + d); }

/* One row of an operand. */
static void put_row(Way way, const Operand *a, long row, long k, const Matrix *m, const float *x, const bf16 *y)
{
    if (!way.whole) {
        for (long d = 0; d < k; d += 16)
            narrow((bf16 *)a->values + row * k + d, taken(x, y, d));
        return;
    }
    __m512 low = _mm512_setzero_ps(), high = _mm512_setzero_ps(); /* so that 0 stays 0 */
    for (long d = 0; d < k; d += 16) {
        const __m512 each = _mm512_mul_ps(taken(x, y, d), _mm512_loadu_ps(m->factors + d));
        low = _mm512_min_ps(low, each);
        high = _mm512_max_ps(high, each);
    }
    const float bottom = _mm512_reduce_min_ps(low), step = (_mm512_reduce_max_ps(high) - bottom) / 255;
    const float inverse = step > 0 ? 1 / step : 0, zero = (float)(int)(-bottom * inverse + 0.5f);
    for (long d = 0; d < k; d += 16) {
        const __m512 each = _mm512_mul_ps(taken(x, y, d), _mm512_loadu_ps(m->factors + d));
        const __m512i u = _mm512_cvtps_epi32(_mm512_fmadd_ps(each, _mm512_set1_ps(inverse), _mm512_set1_ps(zero)));
        _mm_storeu_si128((__m128i *)(a->values + row * k + d), _mm512_cvtusepi32_epi8(_mm512_max_epi32(u, _mm512_setzero_si512())));
    }
    a->step[row] = step;
    a->zero[row] = zero;
}

/* Columns ``first`` to ``first + columns`` of a product, raw; c_row: from row to row, in values. */
static void multiply(
    Way way, const void *a, long rows, const Matrix *m, long k, long first, long columns, float *c, long c_row)
{
    const long size = way.whole ? 1 : 2;
    for (long n = 0; n < columns; n += WIDE)
        way.product(up_to(rows, UNIT), WIDE, k, k, WIDE, c_row, 0, a, m->values + (first + n) * k * size, c + n, 1);
}

/* 16 columns from n on of a row of a product, at c, with the bias. */
static inline __m512 result(Way way, const Operand *a, long row, const Matrix *m, const float *c, long n)
{
    const __m512 bias = _mm512_loadu_ps(m->bias + n);
    if (!way.whole)
        return _mm512_add_ps(_mm512_loadu_ps(c), bias);
    const __m512 sum = _mm512_cvtepi32_ps(_mm512_loadu_si512(c)), zero = _mm512_set1_ps(a->zero[row]);
    const __m512 unit = _mm512_mul_ps(_mm512_set1_ps(a->step[row]), _mm512_loadu_ps(m->steps + n));
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(zero, _mm512_loadu_ps(m->sums + n), sum), unit, bias);
}
