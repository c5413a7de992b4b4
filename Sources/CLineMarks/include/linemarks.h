#ifndef RADIATOR_LINEMARKS_H
#define RADIATOR_LINEMARKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/// Where up to 64 bytes hold what the structure of a STOMP frame's header lines depends on: bit i
/// stands for byte i.
struct radiator_line_marks {
    /// Line feed, colon, NUL.
    uint64_t stops;
    /// Backslash, carriage return.
    uint64_t specials;
};

// Bytes are compared 64 at a time, in vectors that the compiler maps to what the processor has (16 at a
// time with SSE2, which every x86-64 has). It stands in the header so that its callers have no call to make.
typedef uint8_t radiator_bytes64 __attribute__((ext_vector_type(64)));
typedef bool radiator_bits64 __attribute__((ext_vector_type(64)));

/// The marks of 64 bytes.
static inline struct radiator_line_marks radiator_line_marks(const void *bytes) {
    radiator_bytes64 block;
    memcpy(&block, bytes, sizeof block);
    radiator_bits64 stops =
        __builtin_convertvector((block == '\n') | (block == ':') | (block == 0), radiator_bits64);
    radiator_bits64 specials =
        __builtin_convertvector((block == '\\') | (block == '\r'), radiator_bits64);
    struct radiator_line_marks marks;
    memcpy(&marks.stops, &stops, sizeof marks.stops);
    memcpy(&marks.specials, &specials, sizeof marks.specials);
    return marks;
}

/// The marks of fewer than 64 bytes.
static inline struct radiator_line_marks radiator_line_marks_of(const void *bytes, size_t count) {
    uint8_t block[64] = {0};
    memcpy(block, bytes, count);
    struct radiator_line_marks marks = radiator_line_marks(block);
    // The zeros behind the bytes are none of them.
    marks.stops &= ((uint64_t)1 << count) - 1;
    return marks;
}

#endif
