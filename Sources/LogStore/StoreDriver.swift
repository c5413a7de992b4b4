package import Base
import Synchronization

/// Runs a store's jobs on threads: one that writes, two that read, one for maintenance, one
/// that packs.
///
/// Small groups are written without a thread where the system can (`WriteRing`).
///
/// Confinement: broker loop, except that `wake` is called on the threads.
package final class StoreDriver {
    // Not generic: what other modules use of a generic type is compiled without knowing the file
    // system, and looks up types at run time for every write.
    package typealias Files = PosixFileSystem

    package let store: LogStore
    package let report: RecoveryReport
    private let files: Files
    private let lock: Files.File
    private let hands: Hands
    private let writing = WorkerThreads(name: "radiator-write")
    private let reading = WorkerThreads(name: "radiator-read", count: 2)
    private let maintaining = WorkerThreads(name: "radiator-care")
    private let packing = WorkerThreads(name: "radiator-pack")
    private var ring: WriteRing?
    private var mayStartOnRing = false
    /// What the ring writes at the moment.
    private var ringJob: WriteJob?
    // Empty between calls.
    private var jobs: [StoreJob] = []

    /// Above that the copying would take the loop longer than waking the thread.
    private static var ringBytesMax: Int { 64 << 10 }

    /// What the threads share: the worker, the active segment's writer, and finished results.
    private final class Hands: Sendable {
        private let worker: StoreWorker<Files>
        private let writer: Mutex<SegmentWriter<Files>>
        private let finished = Mutex<[StoreResult]>([])
        private let wake: @Sendable () -> Void

        init(_ worker: StoreWorker<Files>, wake: @escaping @Sendable () -> Void) {
            self.worker = worker
            self.wake = wake
            writer = Mutex(worker.makeWriter())
        }

        /// Performs a job on the calling thread; wakes the loop if no result was waiting for it.
        func run(_ job: StoreJob) {
            let result: StoreResult
            if case .write(let job) = job {
                result = writer.withLock { $0.perform(job) }
            } else {
                result = worker.perform(job)
            }
            let isFirst = finished.withLock { list in
                list.append(result)
                return list.count == 1
            }
            if isFirst { wake() }
        }

        func start(_ job: WriteJob, on ring: WriteRing) -> Bool {
            writer.withLock { $0.start(job, on: ring, bytesMax: StoreDriver.ringBytesMax) }
        }

        func finish(_ job: WriteJob, _ outcome: WriteRing.Outcome) -> StoreResult? {
            writer.withLock { $0.finish(job, outcome) }
        }

        func takeFinished() -> [StoreResult] {
            finished.withLock { list in
                defer { list = [] }
                return list
            }
        }

        func close() {
            writer.withLock { $0.close() }
        }
    }

    /// Takes over an opened store.
    ///
    /// `wake` is called on a foreign thread when results wait; the owner then calls `collect` on
    /// the loop.
    package init(
        _ opened: Recovery<Files>.Opened,
        files: Files,
        directory: String,
        wake: @escaping @Sendable () -> Void
    ) {
        store = opened.store
        report = opened.report
        lock = opened.lock
        self.files = files
        hands = Hands(
            StoreWorker(
                files,
                directory: directory,
                store: opened.store.id,
                reserveBytes: opened.store.options.reserveBytes,
                minFreeBytes: opened.store.options.minFreeDiskBytes,
                bypassesCache: opened.store.options.writesPastCache
            ),
            wake: wake
        )
    }

    /// Has small groups written by a ring from now on; the owner calls `collect` also when the ring's
    /// descriptor is readable.
    ///
    /// Call once, with a ring that has started nothing. Nothing changes if the ring cannot keep the
    /// store's lock.
    package func use(_ ring: WriteRing) {
        self.ring = ring
        mayStartOnRing = files.descriptor(of: lock).map(ring.hold(lock:)) ?? false
    }

    /// Has everything written by the thread from now on.
    package func stopUsingRing() { mayStartOnRing = false }

    /// Ends a turn: hands what was appended to the threads.
    package func submit(now: MonotonicTime) {
        store.submit(now: now)
        startJobs()
    }

    /// Does what time alone brings.
    ///
    /// See `LogStore.tick`.
    package func tick(_ instant: Instant) {
        // Should nobody have told that the ring is done.
        collectFromRing(now: instant.monotonic)
        store.tick(instant)
        startJobs()
    }

    /// Takes in what the threads and the ring finished.
    ///
    /// Notices then wait in the store.
    package func collect(now: MonotonicTime) {
        collectFromRing(now: now)
        for result in hands.takeFinished() { store.complete(result, now: now) }
        startJobs()
    }

    private func collectFromRing(now: MonotonicTime) {
        guard let job = ringJob, let outcome = ring?.takeOutcome() else { return }
        ringJob = nil
        if outcome == .refused(isLasting: true) { mayStartOnRing = false }
        if let result = hands.finish(job, outcome) {
            store.complete(result, now: now)
        } else {
            run(.write(job), on: writing)
        }
    }

    /// Starts the jobs that reads asked for, without ending the turn.
    package func startJobs() {
        var taken: [StoreJob] = []
        swap(&taken, &jobs)
        taken = store.takeJobs(reusing: consume taken)
        for job in taken {
            switch job {
            case .write(let job): write(job)
            case .read: run(job, on: reading)
            case .checkpoint, .prepareSpare, .remove, .checkSpace, .quarantine:
                run(job, on: maintaining)
            case .pack: run(job, on: packing)
            }
        }
        taken.empty()
        jobs = taken
    }

    /// There is one write job at a time, so that the ring's and the thread's cannot overtake each other.
    private func write(_ job: WriteJob) {
        if mayStartOnRing, let ring, hands.start(job, on: ring) {
            ringJob = job
        } else {
            run(.write(job), on: writing)
        }
    }

    private func run(_ job: StoreJob, on threads: WorkerThreads) {
        let hands = hands
        threads.submit { hands.run(job) }
    }

    /// Ends the threads after the work that was given to them, and lets go of the directory.
    ///
    /// Call once, when `store.isIdle` or after a failure. Blocks.
    package func close() {
        writing.stop()
        reading.stop()
        maintaining.stop()
        packing.stop()
        ring?.close()
        hands.close()
        files.close(lock)
    }
}
