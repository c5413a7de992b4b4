import Base
import Glibc
import TestSupport
import Testing

@testable import LogStore

@Suite(.enabled(if: WriteRing() != nil, "the system has no io_uring for this process"))
struct WriteRingTests {
    private static let block = BlockBuffer.blockBytes

    /// Waits until the ring says that a write has ended.
    private static func outcome(of ring: WriteRing) -> WriteRing.Outcome? {
        waitUntilReadable(ring) ? ring.takeOutcome() : nil
    }

    private static func blocks(_ byte: UInt8, count: Int = 1) -> BlockBuffer.Blocks {
        let buffer = BlockBuffer()
        buffer.put([UInt8](repeating: byte, count: block * count).span.bytes, at: 0)
        return buffer.blocks(block * count)
    }

    @Test(
        "what was written is in the file, and the descriptor tells when",
        arguments: [true, false]
    )
    func writes(bypassesCache: Bool) throws {
        let ring = try #require(WriteRing())
        try FileSystemKind.posix.run { files, directory in
            let file = try files.open("\(directory)/a", .create)
            defer { files.close(file) }
            if bypassesCache { _ = files.bypassCache(file) }
            let descriptor = try #require(files.descriptor(of: file))
            #expect(ring.takeOutcome() == nil)
            for index in 0..<3 {
                let bytes = Self.blocks(UInt8(index + 1), count: index + 1)
                try #require(ring.start(descriptor, at: index * 4 * Self.block, bytes))
                #expect(Self.outcome(of: ring) == .durable)
                #expect(ring.takeOutcome() == nil)
            }
            let reader = try files.open("\(directory)/a", .read)
            defer { files.close(reader) }
            var found: [UInt8] = []
            try found.appendBytes(upTo: 1 << 20) { span throws(FileError) in
                try files.read(reader, at: 0, into: &span)
            }
            var expected: [UInt8] = []
            for index in 0..<3 {
                expected += [UInt8](repeating: 0, count: index * 4 * Self.block - expected.count)
                expected += repeatElement(UInt8(index + 1), count: (index + 1) * Self.block)
            }
            #expect(found == expected)
        }
    }

    @Test(
        "a file that is written past the cache may block, so that the ring does not do it at once"
    )
    func blocks() throws {
        try FileSystemKind.posix.run { files, directory in
            try files.put("\(directory)/a", [1], .create)
            let file = try files.open("\(directory)/a", .update)
            defer { files.close(file) }
            let descriptor = try #require(files.descriptor(of: file))
            guard files.bypassCache(file) else { return }
            #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK == 0)
        }
    }

    @Test("one write at a time")
    func busy() throws {
        let ring = try #require(WriteRing())
        try FileSystemKind.posix.run { files, directory in
            let file = try files.open("\(directory)/a", .create)
            defer { files.close(file) }
            let descriptor = try #require(files.descriptor(of: file))
            #expect(ring.start(descriptor, at: 0, Self.blocks(1)))
            #expect(!ring.start(descriptor, at: Self.block, Self.blocks(2)))
            #expect(Self.outcome(of: ring) == .durable)
            #expect(ring.start(descriptor, at: Self.block, Self.blocks(3)))
            ring.close()
            #expect(try files.size(file) == 2 * Self.block)
            #expect(ring.takeOutcome() == nil)
        }
    }

    @Test("a lock that the ring holds outlives its file, and ends with the ring")
    func holdsLock() throws {
        let ring = try #require(WriteRing())
        try FileSystemKind.posix.run { files, directory in
            let lock = try files.lock("\(directory)/lock")
            #expect(ring.hold(lock: try #require(files.descriptor(of: lock))))
            #expect(!ring.hold(lock: 0), "one file")
            // As when the process dies: its files are closed, and the ring goes on.
            files.close(lock)
            #expect(throws: FileError.self) { _ = try files.lock("\(directory)/lock") }
            ring.close()
            files.close(try files.lock("\(directory)/lock"))
        }
    }

    @Test("a store gives its ring the lock of its directory")
    func storeGivesLock() throws {
        try withTemporaryDirectory { directory in
            let store = try RingStore(directory)
            #expect(!store.ring.hold(lock: 0), "it holds one already")
            store.driver.close()
        }
    }

    @Test("a full disk refuses, a file that cannot be written fails")
    func errors() throws {
        let ring = try #require(WriteRing())
        let full = Glibc.open("/dev/full", O_RDWR | O_CLOEXEC)
        defer { close(full) }
        try #require(full >= 0)
        #expect(ring.start(full, at: 0, Self.blocks(1)))
        #expect(Self.outcome(of: ring) == .refused(isLasting: false))
        let readOnly = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(readOnly) }
        #expect(ring.start(readOnly, at: 0, Self.blocks(1)))
        #expect(Self.outcome(of: ring) == .failed(EBADF))
    }

    @Test("a store has what the ring wrote after it is opened again")
    func store() throws {
        try withTemporaryDirectory { directory in
            let store = try RingStore(directory)
            for index in 0..<3 {
                store.send(UInt8(index))
                #expect(store.waitForRing(), "message \(index) by the ring")
            }
            store.driver.close()
            try store.expectMessages(3, in: directory)
        }
    }

    @Test("a group that the ring refuses is written by the thread")
    func refused() throws {
        try withTemporaryDirectory { directory in
            let store = try RingStore(directory)
            store.send(0)
            #expect(store.waitForRing())
            // As if the disk had become full: the segment's descriptor leads elsewhere for a while.
            let segment = try #require(Self.segments(in: directory).first)
            let kept = dup(segment)
            let full = Glibc.open("/dev/full", O_RDWR | O_CLOEXEC)
            dup2(full, segment)
            store.send(1)
            #expect(!store.waitForRing())
            store.wait { $0.blockedWrite != nil }
            dup2(kept, segment)
            close(full)
            close(kept)
            store.tick()
            store.wait { $0.isIdle }
            store.send(2)
            store.wait { $0.isIdle }
            store.driver.close()
            try store.expectMessages(3, in: directory)
        }
    }

    /// This process's descriptors of segments in a directory.
    private static func segments(in directory: String) -> [Int32] {
        (0..<1024).filter { descriptor in
            var buffer = [CChar](repeating: 0, count: 4096)
            let count = readlink("/proc/self/fd/\(descriptor)", &buffer, 4096)
            let bytes = buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }
            return String(decoding: bytes, as: UTF8.self).hasPrefix(directory + "/segment-")
        }
    }

    fileprivate static func waitUntilReadable(_ ring: WriteRing) -> Bool {
        var poll = pollfd(fd: ring.descriptor, events: Int16(POLLIN), revents: 0)
        var count: UInt64 = 0
        return Glibc.poll(&poll, 1, 10_000) == 1 && read(ring.descriptor, &count, 8) == 8
    }
}

/// A new store that writes by a ring, with its first segment open.
private final class RingStore {
    let driver: StoreDriver
    let ring: WriteRing
    private let queue: QueueID
    private let now = MonotonicTime(nanoseconds: 1)

    private static var options: LogStoreOptions {
        var options = LogStoreOptions()
        options.segmentBytes = 1 << 20
        options.minFreeDiskBytes = 0
        options.reserveBytes = 0
        options.preallocates = false
        return options
    }

    init(_ directory: String) throws {
        ring = try #require(WriteRing())
        var generator = SeededGenerator(seed: 1)
        let files = PosixFileSystem()
        let opened = try Recovery.open(
            files,
            directory: directory,
            options: Self.options,
            now: WallTime(milliseconds: 1),
            using: &generator
        )
        driver = StoreDriver(opened, files: files, directory: directory) {}
        queue = driver.store.declare("q")
        driver.submit(now: now)
        wait { $0.isIdle }
        _ = driver.store.takeNotices()
        driver.use(ring)
    }

    /// Ends a turn in which one message was sent.
    func send(_ byte: UInt8) {
        let (headers, body) = ([UInt8](), [UInt8](repeating: byte, count: 100))
        let sequence = driver.store.enqueue(
            headers: headers.span.bytes,
            body: body.span.bytes,
            to: queue,
            at: WallTime(milliseconds: 1)
        )
        #expect(sequence != nil)
        driver.submit(now: now)
    }

    /// Whether the ring made a group durable.
    func waitForRing() -> Bool {
        guard WriteRingTests.waitUntilReadable(ring) else { return false }
        driver.collect(now: now)
        return driver.store.takeNotices().contains { if case .durable = $0 { true } else { false } }
    }

    func tick() {
        driver.tick(Instant(monotonic: now, wall: WallTime(milliseconds: 1)))
    }

    /// Takes in what the threads did, until that is enough.
    func wait(until isEnough: (LogStore) -> Bool) {
        for _ in 0..<10_000 {
            driver.collect(now: now)
            if isEnough(driver.store) { return }
            usleep(1000)
        }
        Issue.record("the store did not get there within ten seconds")
    }

    /// Opens the directory again, and looks for messages of 0, 1, 2 and so on.
    func expectMessages(_ count: Int, in directory: String) throws {
        let store = try InlineStore(PosixFileSystem(), directory, Self.options)
        defer { store.close() }
        let expected = (0..<count).map { [UInt8](repeating: UInt8($0), count: 100) }
        #expect(store.bodies(queue).map(\.1) == expected)
    }
}
