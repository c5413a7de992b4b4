import LogStore
import TestSupport
import Testing

/// The fault model of `SimulatedFileSystem`: errors and damage on command, death at any call.
@Suite("simulated file system: faults")
struct SimulatedFaultTests {
    typealias Disk = SimulatedFileSystemTests

    @Test("a fault strikes the call that it names, and then no more")
    func faultOnce() throws {
        let (files, file) = try Disk.withFile()
        files.fail(SimulatedFault(.write, .other(5), skip: 1, pathSuffix: "/a"))
        let bytes: [UInt8] = [1]
        let results = (0..<3).map { _ in
            reason { () throws(FileError) in try files.write(file, at: 0, bytes.span.bytes) }
        }
        #expect(results == [nil, .other(5), nil])
    }

    @Test("every kind of call can fail", arguments: SimulatedOperation.allCases)
    func everyCall(_ operation: SimulatedOperation) throws {
        let (files, file) = try Disk.withFile()
        files.fail(SimulatedFault(operation, .readOnly, times: .max))
        let bytes: [UInt8] = [1]
        let failure = reason { () throws(FileError) in
            switch operation {
            case .open: _ = try files.open(Disk.path, .read)
            case .create: _ = try files.open("/data/b", .create)
            case .lock: _ = try files.lock("/data/lock")
            case .read: try readNothing(files, file)
            case .write: try files.write(file, at: 0, bytes.span.bytes)
            case .syncData: try files.syncData(file)
            case .syncDirectory: try files.syncDirectory("/data")
            case .truncate: try files.truncate(file, to: 0)
            case .rename: try files.rename(Disk.path, to: "/data/b")
            case .remove: try files.remove(Disk.path)
            case .createDirectory: try files.createDirectory("/data/d")
            case .list: _ = try files.list("/data")
            case .size: _ = try files.size(file)
            case .freeBytes: _ = try files.freeBytes("/data")
            }
        }
        #expect(failure == .readOnly)
        files.clearFaults()
        #expect(try files.list("/data") == ["a"], "a failed call changes no name")
    }

    private func readNothing(
        _ files: SimulatedFileSystem,
        _ file: SimulatedFileSystem.File
    ) throws(FileError) {
        var span = OutputRawSpan()
        try files.read(file, at: 0, into: &span)
    }

    @Test("a fault by chance strikes about as often as asked")
    func faultByChance() throws {
        let (files, file) = try Disk.withFile()
        files.fail(.syncData, oneIn: 4, .other(5))
        let failures = (0..<400).count { _ in
            reason { () throws(FileError) in try files.syncData(file) } != nil
        }
        #expect((60...140).contains(failures))
    }

    @Test("a failing write leaves a part of its bytes")
    func shortWrite() throws {
        var lengths: Set<Int> = []
        for seed in 0..<100 as Range<UInt64> {
            let (files, file) = try Disk.withFile(seed: seed)
            files.fail(SimulatedFault(.write, .noSpace))
            let bytes = Disk.fill(1, 100)
            #expect(
                reason { () throws(FileError) in try files.write(file, at: 0, bytes.span.bytes) }
                    == .noSpace
            )
            lengths.insert(try files.size(file))
        }
        #expect(lengths.count > 20 && lengths.allSatisfy { $0 <= 100 })
    }

    @Test("after a failed sync a later one succeeds and saves nothing that was lost")
    func failedSync() throws {
        var lossCount = 0
        for seed in 0..<50 as Range<UInt64> {
            let (files, file) = try Disk.withFile(seed: seed)
            try files.write(file, at: 0, Disk.fill(1, 1_024).span.bytes)
            try files.syncData(file)
            try files.write(file, at: 0, Disk.fill(2, 512).span.bytes)
            files.fail(SimulatedFault(.syncData, .other(5)))
            #expect(reason { () throws(FileError) in try files.syncData(file) } == .other(5))
            try files.write(file, at: 512, Disk.fill(3, 512).span.bytes)
            try files.syncData(file)
            #expect(try files.contents(Disk.path) == Disk.fill(2, 512) + Disk.fill(3, 512))
            files.crash()
            let left = try files.contents(Disk.path)
            #expect(left[512...] == Disk.fill(3, 512)[...])
            #expect(left[0] == 1 || left[0] == 2)
            if left[0] == 1 { lossCount += 1 }
        }
        #expect(lossCount > 10 && lossCount < 50)
    }

    @Test("a full disk takes what fits and lets old blocks be overwritten")
    func fullDisk() throws {
        let (files, file) = try Disk.withFile()
        files.capacityBytes = 8_192
        let bytes = Disk.fill(1, 10_000)
        #expect(
            reason { () throws(FileError) in try files.write(file, at: 0, bytes.span.bytes) }
                == .noSpace
        )
        #expect(try files.size(file) == 8_192)
        #expect(try files.freeBytes("/data") == 0)
        try files.write(file, at: 0, Disk.fill(2, 8_192).span.bytes)
        try files.truncate(file, to: 4_096)
        #expect(try files.freeBytes("/data") == 4_096)
        let other = try files.open("/data/b", .create)
        try files.write(other, at: 0, ([1] as [UInt8]).span.bytes)
        #expect(try files.freeBytes("/data") == 0)
        try files.remove("/data/b")
        #expect(try files.freeBytes("/data") == 0, "an open file keeps its blocks")
        files.close(other)
        #expect(try files.freeBytes("/data") == 4_096)
    }

    @Test("a file extended without being written holds no blocks")
    func sparse() throws {
        let (files, file) = try Disk.withFile()
        files.capacityBytes = 4_096
        try files.truncate(file, to: 1 << 20)
        #expect(files.usedBytes == 0)
        try files.write(file, at: 500_000, ([1] as [UInt8]).span.bytes)
        #expect(files.usedBytes == 4_096)
    }

    @Test("reads that touch a bad range fail, others do not")
    func badRange() throws {
        let (files, file) = try Disk.withFile()
        try files.write(file, at: 0, Disk.fill(1, 4_096).span.bytes)
        try files.refuseReads(Disk.path, 1_000..<1_001)
        #expect(try files.bytes(of: file, at: 0, count: 1_000).count == 1_000)
        #expect(try files.bytes(of: file, at: 1_001, count: 50).count == 50)
        #expect(throws: FileError.self) { try files.bytes(of: file, at: 990, count: 20) }
        files.clearFaults()
        #expect(try files.bytes(of: file).count == 4_096)
    }

    @Test("damage on command stays, for readers and after a power cut")
    func damage() throws {
        let (files, file) = try Disk.withFile()
        try files.write(
            file,
            at: 0,
            (Disk.fill(1, 512) + Disk.fill(2, 512) + Disk.fill(3, 512)).span.bytes
        )
        try files.syncData(file)
        try files.swapSectors(Disk.path, 0, 1)
        try files.zeroSector(Disk.path, 2)
        try files.flipBit(Disk.path, at: 5, bit: 7)
        var expected = Disk.fill(2, 512) + Disk.fill(1, 512) + Disk.fill(0, 512)
        expected[5] = 0x82
        #expect(try files.contents(Disk.path) == expected)
        files.crash()
        #expect(try files.contents(Disk.path) == expected)
    }

    @Test("the file past the limit of open files is refused")
    func tooManyOpenFiles() throws {
        let (files, _) = try Disk.withFile()
        files.openFilesMax = 2
        let second = try files.open(Disk.path, .read)
        #expect(
            reason { () throws(FileError) in _ = try files.open(Disk.path, .read) }
                == .tooManyOpenFiles
        )
        #expect(
            reason { () throws(FileError) in _ = try files.open("/data/b", .create) }
                == .tooManyOpenFiles
        )
        #expect(
            reason { () throws(FileError) in _ = try files.list("/data") } == .tooManyOpenFiles
        )
        files.close(second)
        #expect(try files.list("/data") == ["a"])
        _ = try files.open(Disk.path, .read)
        #expect(files.takeStrikes().map(\.operation) == [.open, .create, .list])
    }

    @Test("from the call in which the process dies, every call fails until it starts again")
    func deathAtCall() throws {
        let (files, file) = try Disk.withFile()
        files.crashAtOperation = files.operationCount + 2
        try files.write(file, at: 0, Disk.fill(1, 100).span.bytes)
        #expect(!files.isDead)
        let bytes = Disk.fill(2, 100)
        for _ in 0..<2 {
            let error = #expect(throws: FileError.self) {
                try files.write(file, at: 0, bytes.span.bytes)
            }
            #expect(error?.isDeadProcess == true)
        }
        #expect(files.isDead)
        #expect(throws: FileError.self) { try files.list("/data") }
        files.close(file)
        files.kill()
        #expect(!files.isDead && files.crashAtOperation == nil)
        let left = try files.contents(Disk.path)
        #expect(left == left.sorted(by: >) && left.count == 100, "a part of the write was done")
    }

    @Test("a process that dies in a call has done it or not")
    func deathInRename() throws {
        var outcomes: Set<[String]> = []
        for seed in 0..<50 as Range<UInt64> {
            let (files, _) = try Disk.withFile(seed: seed)
            files.crashAtOperation = files.operationCount + 1
            #expect(throws: FileError.self) { try files.rename(Disk.path, to: "/data/b") }
            files.kill()
            outcomes.insert(try files.list("/data"))
        }
        #expect(outcomes == [["a"], ["b"]])
    }

    @Test("calls are counted, and shown before they happen")
    func counters() throws {
        let files = SimulatedFileSystem(seed: 1)
        let before = files.counters
        #expect(before == SimulatedCounters())
        let file = try files.open("/a", .create)
        try files.write(file, at: 0, Disk.fill(1, 100).span.bytes)
        _ = try files.bytes(of: file)
        try files.syncData(file)
        try files.syncDirectory("/")
        try files.rename("/a", to: "/b")
        try files.remove("/b")
        let counters = files.counters
        #expect(counters.writes == 1 && counters.bytesWritten == 100 && counters.reads == 1)
        #expect(counters.syncs == 1 && counters.directorySyncs == 1)
        #expect(counters.filesCreated == 1 && counters.filesRemoved == 1 && counters.renames == 1)
        #expect(files.operationCount == 6, "reads do not count")
    }
}
