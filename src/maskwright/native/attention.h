/* Attention of one head of one sequence, for kernels that do more than attention. */
#include "common.h"

typedef struct {
    const bf16 *at; /* (T, N, H), heads and places of a head side by side */
    long row, head; /* elements from one token, one head to the next */
} Side;

typedef struct {
    const int32_t *q_cu, *k_cu; /* (B + 1,) where each sequence begins */
    long sequences, heads, width; /* width: H, a multiple of 16 */
    long causal;
    float scale;
    long dropped; /* of 65,536 weights */
    uint64_t key;
} Shape;

/* Bytes to work in, a multiple of 64, where the longest sequence has so many keys. */
size_t attend_room(long keys, long width);

/* out: (T, N, H); lse: (T, N) the logarithm of each row's sum, or NULL. */
void attend_one(const Shape *s, Side q, Side k, Side v, bf16 *out, float *lse, long sequence, long head, char *room);
