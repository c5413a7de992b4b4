import Base
import Glibc
import LogStore

/// The whole state of a simulated file system: a value, so that a copy is a second universe.
///
/// Confinement: the lock of the `SimulatedFileSystem` that owns it.
struct SimulatedDisk: Sendable {
    private struct Handle: Sendable {
        let inode: Int
        let path: String
        let isWritable: Bool
        /// Takes whole blocks only.
        var bypassesCache = false
    }

    /// What becomes of one call.
    private enum Verdict {
        case perform
        case fail(FileError.Reason, writesPart: Bool)
        /// The process dies in the middle of the call.
        case die
    }

    let options: SimulatedFileSystem.Options
    var generator: SeededGenerator
    private var names = SimulatedNames()
    private var inodes: [Int: SimulatedInode] = [:]
    private var nextInode = 1
    private var handles: [Int: Handle] = [:]
    /// Rises for good, so that a handle of a dead process is known.
    private var nextHandle = 1
    private var firstLiveHandle = 1
    private var lockHolders: [Int: Int] = [:]
    private var lastWrite: (inode: Int, range: Range<Int>)?

    var counters = SimulatedCounters()
    private(set) var operationCount = 0
    var crashAtOperation: Int?
    private(set) var isDead = false
    var faults: [SimulatedFault] = []
    /// Calls that failed as they were told to.
    var strikes: [SimulatedStrike] = []
    var chances: [SimulatedOperation: (oneIn: Int, reason: FileError.Reason)] = [:]
    var capacityBytes: Int?
    var openFilesMax: Int?
    private var unreadable: [Int: [Range<Int>]] = [:]
    var observer: (@Sendable (Int, SimulatedOperation, String) -> Void)?

    init(options: SimulatedFileSystem.Options, seed: UInt64) {
        self.options = options
        generator = SeededGenerator(seed: seed)
    }

    // MARK: - Admission

    private mutating func admit(
        _ operation: SimulatedOperation,
        _ path: String
    ) throws(FileError) -> Verdict {
        if isDead { throw .deadProcess(operation, path) }
        if operation.changesDisk {
            operationCount += 1
            observer?(operationCount, operation, path)
            if let crashAtOperation, operationCount >= crashAtOperation {
                isDead = true
                return .die
            }
        }
        for index in faults.indices where faults[index].strikes(operation, path) {
            noteStrike(operation, path, faults[index].reason)
            return .fail(faults[index].reason, writesPart: faults[index].writesPart)
        }
        if let chance = chances[operation], generator.oneIn(chance.oneIn) {
            noteStrike(operation, path, chance.reason)
            return .fail(chance.reason, writesPart: true)
        }
        if operation.opensFile, let openFilesMax, handles.count >= openFilesMax {
            noteStrike(operation, path, .tooManyOpenFiles)
            return .fail(.tooManyOpenFiles, writesPart: false)
        }
        return .perform
    }

    private mutating func noteStrike(
        _ operation: SimulatedOperation,
        _ path: String,
        _ reason: FileError.Reason
    ) {
        strikes.append(SimulatedStrike(operation: operation, path: path, reason: reason))
    }

    /// Does a call that has no half-way state: the process dies before it or after it.
    private mutating func perform<Result>(
        _ operation: SimulatedOperation,
        _ path: String,
        _ body: (inout SimulatedDisk) throws(FileError) -> Result
    ) throws(FileError) -> Result {
        switch try admit(operation, path) {
        case .perform:
            return try body(&self)
        case .fail(let reason, _):
            throw .simulated(reason, operation, path)
        case .die:
            if generator.oneIn(2) { _ = try body(&self) }
            throw .deadProcess(operation, path)
        }
    }

    // MARK: - Files

    /// As the disks of today have them.
    private static let blockBytes = 4096

    mutating func bypassCache(_ number: Int) -> Bool {
        handles[number]?.bypassesCache = true
        return handles[number] != nil
    }

    mutating func open(_ path: String, _ mode: FileMode) throws(FileError) -> Int {
        switch mode {
        case .read, .update:
            try perform(.open, path) { disk throws(FileError) in
                let inode = try disk.names.file(path, "open")
                return try disk.addHandle(inode, path, isWritable: mode == .update)
            }
        case .create:
            try perform(.create, path) { disk throws(FileError) in
                try disk.create(path)
            }
        }
    }

    private mutating func create(_ path: String) throws(FileError) -> Int {
        try names.create(path, inode: nextInode)
        inodes[nextInode] = SimulatedInode(sectorSizeBytes: options.sectorSizeBytes)
        nextInode += 1
        counters.filesCreated += 1
        return try addHandle(nextInode - 1, path, isWritable: true)
    }

    mutating func lock(_ path: String) throws(FileError) -> Int {
        try perform(.lock, path) { disk throws(FileError) in
            guard disk.names[path] != nil else {
                let handle = try disk.create(path)
                disk.lockHolders[disk.nextInode - 1] = handle
                return handle
            }
            let inode = try disk.names.file(path, "open")
            guard disk.lockHolders[inode] == nil else { throw .posix(EWOULDBLOCK, "lock", path) }
            let handle = try disk.addHandle(inode, path, isWritable: true)
            disk.lockHolders[inode] = handle
            return handle
        }
    }

    private mutating func addHandle(
        _ inode: Int,
        _ path: String,
        isWritable: Bool
    ) throws(FileError) -> Int {
        handles[nextHandle] = Handle(inode: inode, path: path, isWritable: isWritable)
        nextHandle += 1
        return nextHandle - 1
    }

    /// Closing again, or a file that never was, is a bug in the caller; the files of a dead process
    /// are closed already.
    mutating func close(_ number: Int) {
        guard number >= firstLiveHandle else { return }
        guard let handle = handles.removeValue(forKey: number) else {
            fatalError("file \(number) is not open")
        }
        if lockHolders[handle.inode] == number { lockHolders[handle.inode] = nil }
    }

    private func handle(
        _ number: Int,
        _ operation: SimulatedOperation
    ) throws(FileError) -> Handle {
        if let handle = handles[number] { return handle }
        invariant(number < firstLiveHandle, "\(operation) on file \(number), which is not open")
        throw .deadProcess(operation, "file \(number)")
    }

    mutating func read(
        _ number: Int,
        at offset: Int,
        into target: UnsafeMutableRawBufferPointer
    ) throws(FileError) -> Int {
        let handle = try handle(number, .read)
        invariant(!handle.bypassesCache, "a read of \(handle.path), which takes whole blocks only")
        return try perform(.read, handle.path) { disk throws(FileError) in
            disk.counters.reads += 1
            let range = offset..<offset + target.count
            if let bad = disk.unreadable[handle.inode], bad.contains(where: range.overlaps) {
                throw .posix(EIO, "read", handle.path)
            }
            return disk.inodes[handle.inode]?.read(at: offset, into: target) ?? 0
        }
    }

    mutating func write(
        _ number: Int,
        at offset: Int,
        _ source: UnsafeRawBufferPointer
    ) throws(FileError) {
        let handle = try handle(number, .write)
        invariant(
            !handle.bypassesCache
                || (offset % Self.blockBytes == 0 && source.count % Self.blockBytes == 0
                    && Int(bitPattern: source.baseAddress) % Self.blockBytes == 0),
            "a write of \(source.count) bytes at \(offset) of \(handle.path) is no whole block"
        )
        switch try admit(.write, handle.path) {
        case .perform:
            guard handle.isWritable else { throw .posix(EBADF, "write", handle.path) }
            let fitting = fittingBytes(offset..<offset + source.count, of: handle.inode)
            store(.init(rebasing: source[..<fitting]), at: offset, in: handle.inode)
            if fitting < source.count { throw .posix(ENOSPC, "write", handle.path) }
        case .fail(let reason, let writesPart):
            if writesPart { storePart(of: source, at: offset, in: handle.inode) }
            throw .simulated(reason, .write, handle.path)
        case .die:
            storePart(of: source, at: offset, in: handle.inode)
            throw .deadProcess(.write, handle.path)
        }
    }

    private mutating func storePart(
        of source: UnsafeRawBufferPointer,
        at offset: Int,
        in inode: Int
    ) {
        let drawn = Int.random(in: 0...source.count, using: &generator)
        let count = min(drawn, fittingBytes(offset..<offset + source.count, of: inode))
        store(.init(rebasing: source[..<count]), at: offset, in: inode)
    }

    private mutating func store(
        _ source: UnsafeRawBufferPointer,
        at offset: Int,
        in inode: Int
    ) {
        let writesBackEarly = generator.oneIn(4)
        inodes[inode]?.write(source, at: offset, writesBackEarly: writesBackEarly)
        lastWrite = source.count > 0 ? (inode, offset..<offset + source.count) : nil
        counters.writes += 1
        counters.bytesWritten += source.count
    }

    mutating func syncData(_ number: Int) throws(FileError) {
        let handle = try handle(number, .syncData)
        switch try admit(.syncData, handle.path) {
        case .perform:
            inodes[handle.inode]?.sync()
            counters.syncs += 1
        case .fail(let reason, _):
            inodes[handle.inode]?.failSync(&generator)
            throw .simulated(reason, .syncData, handle.path)
        case .die:
            if generator.oneIn(2) {
                inodes[handle.inode]?.sync()
            } else {
                inodes[handle.inode]?.writeBackSome(&generator)
            }
            throw .deadProcess(.syncData, handle.path)
        }
    }

    mutating func size(_ number: Int) throws(FileError) -> Int {
        let handle = try handle(number, .size)
        return try perform(.size, handle.path) { disk throws(FileError) in
            disk.inodes[handle.inode]?.length ?? 0
        }
    }

    mutating func truncate(_ number: Int, to length: Int) throws(FileError) {
        let handle = try handle(number, .truncate)
        try perform(.truncate, handle.path) { disk throws(FileError) in
            guard handle.isWritable, length >= 0 else {
                throw .posix(EINVAL, "truncate", handle.path)
            }
            disk.inodes[handle.inode]?.truncate(to: length)
        }
    }

    // MARK: - Names

    mutating func syncDirectory(_ directory: String) throws(FileError) {
        try perform(.syncDirectory, directory) { disk throws(FileError) in
            try disk.names.checkDirectory(directory, "open")
            disk.names.sync(directory)
            disk.counters.directorySyncs += 1
            disk.dropUnreachable()
        }
    }

    mutating func rename(_ path: String, to newPath: String) throws(FileError) {
        try perform(.rename, path) { disk throws(FileError) in
            try disk.names.rename(path, to: newPath)
            disk.counters.renames += 1
        }
    }

    mutating func remove(_ path: String) throws(FileError) {
        try perform(.remove, path) { disk throws(FileError) in
            try disk.names.remove(path)
            disk.counters.filesRemoved += 1
        }
    }

    mutating func list(_ directory: String) throws(FileError) -> [String] {
        try perform(.list, directory) { disk throws(FileError) in
            try disk.names.checkDirectory(directory, "list")
            return disk.names.list(directory)
        }
    }

    mutating func createDirectory(_ path: String) throws(FileError) {
        try perform(.createDirectory, path) { disk throws(FileError) in
            try disk.names.createDirectory(path)
        }
    }

    // MARK: - Space

    mutating func freeBytes(_ directory: String) throws(FileError) -> Int {
        try perform(.freeBytes, directory) { disk throws(FileError) in
            try disk.names.checkDirectory(directory, "statvfs")
            return disk.freeBytes ?? 1 << 40
        }
    }

    /// Bytes of the files that have a name or are open.
    var usedBytes: Int {
        let files = names.namedFiles.union(handles.values.map(\.inode))
        return inodes.reduce(0) { $0 + (files.contains($1.key) ? $1.value.allocatedBytes : 0) }
    }

    private var freeBytes: Int? { capacityBytes.map { max($0 - usedBytes, 0) } }

    /// How much of a write there is room for.
    private func fittingBytes(_ range: Range<Int>, of inode: Int) -> Int {
        guard let freeBytes, let file = inodes[inode] else { return range.count }
        let missing = file.missingBytes(for: range)
        guard missing > freeBytes else { return range.count }
        var fitting = range
        while !fitting.isEmpty, file.missingBytes(for: fitting) > freeBytes {
            let last = (fitting.upperBound - 1) / SimulatedInode.blockSizeBytes
            let end = max(last * SimulatedInode.blockSizeBytes, range.lowerBound)
            fitting = range.lowerBound..<end
        }
        return fitting.count
    }

    // MARK: - Ends

    /// `tell` gets what was lost, one line for each file and change of names.
    mutating func crash(_ tell: ((String) -> Void)? = nil) {
        let paths = tell == nil ? [:] : names.pathsOfFiles
        // In the order of their numbers, for a dictionary's own order differs from run to run.
        for number in inodes.keys.sorted() {
            let before = tell == nil ? nil : inodes[number]
            let torn = lastWrite.flatMap { $0.inode == number ? $0.range : nil }
            inodes[number]?.crash(lastWrite: torn, &generator)
            if let tell, let loss = before?.loss(to: inodes[number]) {
                tell("\(paths[number] ?? "a removed file"): \(loss)")
            }
        }
        names.crash(inOrder: options.keepsNameOrder, &generator, tell)
        endProcess()
    }

    mutating func kill() {
        endProcess()
    }

    private mutating func endProcess() {
        handles.removeAll()
        lockHolders.removeAll()
        firstLiveHandle = nextHandle
        lastWrite = nil
        crashAtOperation = nil
        isDead = false
        dropUnreachable()
    }

    private mutating func dropUnreachable() {
        let reachable = names.reachableFiles.union(handles.values.map(\.inode))
        for number in inodes.keys where !reachable.contains(number) { inodes[number] = nil }
    }

    // MARK: - Looking and harming

    var openFileCount: Int { handles.count }

    func inode(_ path: String) throws(FileError) -> SimulatedInode {
        let number = try names.file(path, "open")
        return inodes[number] ?? SimulatedInode(sectorSizeBytes: options.sectorSizeBytes)
    }

    /// What a power cut would leave for certain under this name, if the name itself would stay.
    func stableInode(_ path: String) -> SimulatedInode? {
        guard case .file(let number) = names.stableEntry(path) else { return nil }
        return inodes[number]
    }

    mutating func harm(
        _ path: String,
        _ change: (inout SimulatedInode) -> Void
    ) throws(FileError) {
        let number = try names.file(path, "open")
        guard var file = inodes.removeValue(forKey: number) else { return }
        change(&file)
        inodes[number] = file
    }

    mutating func refuseReads(_ path: String, _ range: Range<Int>) throws(FileError) {
        unreadable[try names.file(path, "open"), default: []].append(range)
    }

    mutating func allowReads() {
        unreadable.removeAll()
    }
}
