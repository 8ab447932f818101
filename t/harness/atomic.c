/*
 * APR's atomic operations, as far as the module uses them, for a ThreadSanitizer that cannot look into APR: linked
 * before it, these are the ones that count.
 */
#include <apr_atomic.h>

apr_uint32_t apr_atomic_read32(volatile apr_uint32_t *mem)
{
    return __atomic_load_n(mem, __ATOMIC_SEQ_CST);
}

void apr_atomic_set32(volatile apr_uint32_t *mem, apr_uint32_t value)
{
    __atomic_store_n(mem, value, __ATOMIC_SEQ_CST);
}

apr_uint32_t apr_atomic_inc32(volatile apr_uint32_t *mem)
{
    return __atomic_fetch_add(mem, 1, __ATOMIC_SEQ_CST);
}

int apr_atomic_dec32(volatile apr_uint32_t *mem)
{
    return __atomic_sub_fetch(mem, 1, __ATOMIC_SEQ_CST) != 0;
}

apr_uint32_t apr_atomic_xchg32(volatile apr_uint32_t *mem, apr_uint32_t value)
{
    return __atomic_exchange_n(mem, value, __ATOMIC_SEQ_CST);
}

apr_uint32_t apr_atomic_cas32(volatile apr_uint32_t *mem, apr_uint32_t with, apr_uint32_t cmp)
{
    __atomic_compare_exchange_n(mem, &cmp, with, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return cmp;
}
