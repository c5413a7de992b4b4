// A ring for one write at a time, by the three system calls of io_uring (man 7 io_uring).
//
// Not by liburing: what is needed of it is this file, and the daemon stays one binary that needs no
// library more.

#define _GNU_SOURCE
#include "ring.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#if __has_include(<linux/io_uring.h>)
#include <linux/io_uring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ENTRIES = 2 };

struct radiator_ring {
    int ring;
    int event;
    bool is_writing, holds_file;
    void *submissions, *completions;
    size_t submission_bytes, completion_bytes, entry_bytes;
    // Shared with the kernel: what it reads or writes is loaded and stored with ordering.
    uint32_t *tail, *slots;
    uint32_t slot_mask;
    struct io_uring_sqe *entries;
    uint32_t *done_head, *done_tail;
    uint32_t done_mask;
    struct io_uring_cqe *done;
};

static int enter(int ring, unsigned submit, unsigned wait, unsigned flags) {
    return (int)syscall(__NR_io_uring_enter, ring, submit, wait, flags, NULL, 0);
}

static void *map(int ring, size_t bytes, off_t what) {
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, what);
    return base == MAP_FAILED ? NULL : base;
}

static void release(radiator_ring *r) {
    int error = errno;
    if (r->entries) munmap(r->entries, r->entry_bytes);
    if (r->completions) munmap(r->completions, r->completion_bytes);
    if (r->submissions) munmap(r->submissions, r->submission_bytes);
    if (r->ring >= 0) close(r->ring);
    if (r->event >= 0) close(r->event);
    free(r);
    errno = error;
}

static bool set_up(radiator_ring *r) {
    struct io_uring_params p;
    memset(&p, 0, sizeof p);
    r->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (r->event < 0) return false;
    r->ring = (int)syscall(__NR_io_uring_setup, ENTRIES, &p);
    if (r->ring < 0) return false;
    r->submission_bytes = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
    r->completion_bytes = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
    r->entry_bytes = p.sq_entries * sizeof(struct io_uring_sqe);
    char *sq = r->submissions = map(r->ring, r->submission_bytes, IORING_OFF_SQ_RING);
    char *cq = r->completions = map(r->ring, r->completion_bytes, IORING_OFF_CQ_RING);
    r->entries = map(r->ring, r->entry_bytes, IORING_OFF_SQES);
    if (!sq || !cq || !r->entries) return false;
    r->tail = (uint32_t *)(sq + p.sq_off.tail);
    r->slots = (uint32_t *)(sq + p.sq_off.array);
    r->slot_mask = *(uint32_t *)(sq + p.sq_off.ring_mask);
    r->done_head = (uint32_t *)(cq + p.cq_off.head);
    r->done_tail = (uint32_t *)(cq + p.cq_off.tail);
    r->done_mask = *(uint32_t *)(cq + p.cq_off.ring_mask);
    r->done = (struct io_uring_cqe *)(cq + p.cq_off.cqes);
    return syscall(__NR_io_uring_register, r->ring, IORING_REGISTER_EVENTFD, &r->event, 1) == 0;
}

radiator_ring *radiator_ring_open(void) {
    radiator_ring *r = calloc(1, sizeof *r);
    if (!r) return NULL;
    r->ring = r->event = -1;
    if (set_up(r)) return r;
    release(r);
    return NULL;
}

int radiator_ring_descriptor(const radiator_ring *r) { return r->event; }

bool radiator_ring_hold(radiator_ring *r, int file) {
    if (r->holds_file) return false;
    r->holds_file = syscall(__NR_io_uring_register, r->ring, IORING_REGISTER_FILES, &file, 1) == 0;
    return r->holds_file;
}

int radiator_ring_start(radiator_ring *r, int file, const void *bytes, uint32_t count,
                        uint64_t offset) {
    if (r->is_writing) return -EBUSY;
    uint32_t tail = *r->tail;
    uint32_t slot = tail & r->slot_mask;
    struct io_uring_sqe *entry = &r->entries[slot];
    memset(entry, 0, sizeof *entry);
    entry->opcode = IORING_OP_WRITE;
    entry->fd = file;
    entry->addr = (uintptr_t)bytes;
    entry->len = count;
    entry->off = offset;
    entry->rw_flags = RWF_DSYNC;
    r->slots[slot] = slot;
    __atomic_store_n(r->tail, tail + 1, __ATOMIC_RELEASE);
    int submitted;
    do submitted = enter(r->ring, 1, 0, 0);
    while (submitted < 0 && errno == EINTR);
    if (submitted == 1) {
        r->is_writing = true;
        return 0;
    }
    int error = submitted < 0 ? -errno : -EAGAIN;
    // The kernel has not taken the entry.
    __atomic_store_n(r->tail, tail, __ATOMIC_RELEASE);
    return error;
}

bool radiator_ring_take(radiator_ring *r, int *result) {
    uint32_t head = *r->done_head;
    if (head == __atomic_load_n(r->done_tail, __ATOMIC_ACQUIRE)) return false;
    *result = r->done[head & r->done_mask].res;
    __atomic_store_n(r->done_head, head + 1, __ATOMIC_RELEASE);
    r->is_writing = false;
    return true;
}

void radiator_ring_close(radiator_ring *r) {
    int result;
    // The kernel still reads the bytes.
    while (r->is_writing && !radiator_ring_take(r, &result))
        if (enter(r->ring, 0, 1, IORING_ENTER_GETEVENTS) < 0 && errno != EINTR) break;
    // Or the kernel would let go of it some time after the ring was closed.
    if (r->holds_file)
        syscall(__NR_io_uring_register, r->ring, IORING_UNREGISTER_FILES, NULL, 0);
    release(r);
}

#else

radiator_ring *radiator_ring_open(void) {
    errno = ENOSYS;
    return NULL;
}

int radiator_ring_descriptor(const radiator_ring *ring) { return -1; }

bool radiator_ring_hold(radiator_ring *ring, int file) { return false; }

int radiator_ring_start(radiator_ring *ring, int file, const void *bytes, uint32_t count,
                        uint64_t offset) {
    return -ENOSYS;
}

bool radiator_ring_take(radiator_ring *ring, int *result) { return false; }

void radiator_ring_close(radiator_ring *ring) {}

#endif
