// Writes that are carried out, and synced, while the caller goes on: Linux's io_uring, by its system
// calls. See ring.c.

#ifndef RADIATOR_RING_H
#define RADIATOR_RING_H

#include <stdbool.h>
#include <stdint.h>

/// One write at a time. Not to be used by two threads at once.
typedef struct radiator_ring radiator_ring;

/// NULL, with errno, where the system has no io_uring or does not allow it.
radiator_ring *radiator_ring_open(void);

/// An eventfd, which becomes readable when a write has ended. The ring's own: closed with it.
int radiator_ring_descriptor(const radiator_ring *ring);

/// Keeps a file open until the ring is closed or, if the process dies, until the kernel has ended what
/// was started. So a lock that goes with the file (flock) lasts as long as a write may still change
/// something. One file; false, and nothing done, if the system refuses.
bool radiator_ring_hold(radiator_ring *ring, int file);

/// Starts to write `count` bytes at `offset`, as by pwritev2 with RWF_DSYNC: when it has ended well, the
/// bytes are on stable storage. The bytes must stay as they are until then.
///
/// Returns 0, or a negative error number; then nothing was started.
int radiator_ring_start(radiator_ring *ring, int file, const void *bytes, uint32_t count,
                        uint64_t offset);

/// Whether the write that was started has ended; then its result: bytes written, or a negative error
/// number.
bool radiator_ring_take(radiator_ring *ring, int *result);

/// Waits until the write that was started, if any, has ended, and lets go of everything.
void radiator_ring_close(radiator_ring *ring);

#endif
