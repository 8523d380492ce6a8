/* Embeddings as they serve: LayerNorm(token + position + segment), each row in one pass. */
#include "common.h"

typedef struct {
    const float *rows;
    const int64_t *numbers; /* (T) which row, or NULL: the first */
    long count, offset; /* rows there are; added to the number */
} Table;

static const float *row_of(const Table *t, long i, long width)
{
    return t->rows + ((t->numbers == NULL ? 0 : t->numbers[i]) + t->offset) * width;
}

static int outside(const Table *t, long tokens)
{
    int found = 0;
    for (long i = 0; t->rows != NULL && t->numbers != NULL && i < tokens; i++)
        found |= t->numbers[i] + t->offset < 0 || t->numbers[i] + t->offset >= t->count;
    return found;
}

/* Three tables of fp32 rows (the last two may be missing) -> y (T, D).  Returns 0, or 1 where a number is not one of a row. */
int embed_rows(
    const float *token, const int64_t *ids, long pieces, const float *position, const int64_t *positions, long places,
    long offset, const float *segment, const int64_t *segments, long kinds, const float *gain, const float *shift, float *y,
    long tokens, long width, float eps, int threads)
{
    const Table tables[3] = {{token, ids, pieces, 0}, {position, positions, places, offset}, {segment, segments, kinds, 0}};
    for (int n = 0; n < 3; n++)
        if (outside(&tables[n], tokens))
            return 1;
#pragma omp parallel for num_threads(threads) schedule(static) if (tokens > 256)
    for (long i = 0; i < tokens; i++) {
        float *to = y + i * width;
        __m512 total = _mm512_setzero_ps();
        for (long d = 0; d < width; d += 16) {
            __m512 sum = _mm512_loadu_ps(row_of(&tables[0], i, width) + d);
            for (int n = 1; n < 3; n++)
                if (tables[n].rows != NULL)
                    sum = _mm512_add_ps(sum, _mm512_loadu_ps(row_of(&tables[n], i, width) + d));
            _mm512_storeu_ps(to + d, sum);
            total = _mm512_add_ps(total, sum);
        }
        norm_row(to, total, gain, shift, eps, width);
    }
    return 0;
}
