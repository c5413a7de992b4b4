#ifndef RADIATOR_CHECKSUM_H
#define RADIATOR_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/// CRC32C (Castagnoli polynomial, reflected), continued from `crc`; start with 0.
/// Uses the processor's instruction where there is one, a table of eight otherwise.
uint32_t radiator_crc32c(uint32_t crc, const void *bytes, size_t count);

/// The portable form of the same function, for tests that compare the two.
uint32_t radiator_crc32c_portable(uint32_t crc, const void *bytes, size_t count);

#endif
