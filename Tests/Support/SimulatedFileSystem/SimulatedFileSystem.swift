import Base
package import LogStore
import Synchronization

// The fault model.
//
// Data. A write goes to a volatile image, as to the page cache. `syncData` makes the file's bytes and
// length durable, not its name. A power cut (`crash`) keeps an arbitrary, seeded subset of the
// unsynced sectors: none, all, the first, the last, or any. Lost sectors show the old bytes, zeros
// where nothing was. The sector in which the last write stopped may be torn at any byte. A sector
// written several times may show a state in between. The length is any between the durable and the
// volatile one; a cut (`truncate`) happened as a whole or not at all.
//
// Names. Create, rename, remove and create directory are atomic and volatile until `syncDirectory` of
// the parent. A power cut keeps a prefix of each directory's unsynced changes, or any subset of them
// if `keepsNameOrder` is off. A lost rename leaves the old name and the file that it would have
// replaced. A file whose name is lost is gone, synced or not. A directory likewise, with all in it.
//
// The process. `kill` ends it: all that was written stays, open files and locks end. With
// `crashAtOperation` it dies in the middle of a call: a part of that write is done, or a part of that
// sync; other calls are done or not. All its later calls throw `FileError.deadProcessCode`, until
// `crash` or `kill` starts the next process.
//
// Errors. Any call can be made to fail, once or by chance. A failing write may have written a part.
// A failed `syncData` drops: a part of the unsynced sectors is durable, the others are not and no
// later sync saves them, though reads show them until the crash. A disk of a given capacity refuses
// blocks that are not there yet and takes what fits; overwriting costs nothing. Reads of a range can
// fail. Bits, sectors and their order can be damaged on command.
//
// Whole blocks. A file that was told to bypass the cache takes whole blocks only and is not read any more
// through the same opening; all else is as with other files, for a write is not durable without a sync.
//
// Not modelled: hard and symbolic links, permissions, renamed directories, bytes that rot unasked,
// syncs that lie.

/// Files in memory that forget, tear, reorder and refuse, all by one seed.
///
/// Safe to use from several threads. The same calls in the same order have the same outcome.
package final class SimulatedFileSystem: FileSystem {
    /// How the simulated disk behaves.
    package struct Options: Sendable {
        /// What a power cut keeps or loses as one: 512, or 4096 for newer disks.
        package var sectorSizeBytes: Int
        /// Unsynced names survive a power cut in the order of their changes, as on ext4.
        package var keepsNameOrder: Bool

        package init(sectorSizeBytes: Int = 512, keepsNameOrder: Bool = true) {
            self.sectorSizeBytes = sectorSizeBytes
            self.keepsNameOrder = keepsNameOrder
        }
    }

    /// An open file's number.
    package struct File: BitwiseCopyable, Sendable {
        let number: Int
    }

    private let disk: Mutex<SimulatedDisk>

    /// Creates an empty disk with the directory `/`.
    package init(seed: UInt64, options: Options = Options()) {
        disk = Mutex(SimulatedDisk(options: options, seed: seed))
    }

    private init(_ disk: SimulatedDisk) {
        self.disk = Mutex(disk)
    }

    // MARK: - FileSystem

    package func open(_ path: String, _ mode: FileMode) throws(FileError) -> File {
        File(number: try disk.withLock { disk throws(FileError) in try disk.open(path, mode) })
    }

    package func close(_ file: File) {
        disk.withLock { $0.close(file.number) }
    }

    package func read(
        _ file: File,
        at offset: Int,
        into span: inout OutputRawSpan
    ) throws(FileError) {
        try span.withUnsafeMutableBytes { buffer, initialized throws(FileError) in
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[initialized...])
            initialized += try disk.withLock { disk throws(FileError) in
                try disk.read(file.number, at: offset, into: target)
            }
        }
    }

    package func write(_ file: File, at offset: Int, _ bytes: RawSpan) throws(FileError) {
        try bytes.withUnsafeBytes { source throws(FileError) in
            try disk.withLock { disk throws(FileError) in
                try disk.write(file.number, at: offset, source)
            }
        }
    }

    package func syncData(_ file: File) throws(FileError) {
        try disk.withLock { disk throws(FileError) in try disk.syncData(file.number) }
    }

    package func bypassCache(_ file: File) -> Bool {
        disk.withLock { $0.bypassCache(file.number) }
    }

    package func syncDirectory(_ directory: String) throws(FileError) {
        try disk.withLock { disk throws(FileError) in try disk.syncDirectory(directory) }
    }

    package func size(_ file: File) throws(FileError) -> Int {
        try disk.withLock { disk throws(FileError) in try disk.size(file.number) }
    }

    package func truncate(_ file: File, to length: Int) throws(FileError) {
        try disk.withLock { disk throws(FileError) in
            try disk.truncate(file.number, to: length)
        }
    }

    package func rename(_ path: String, to newPath: String) throws(FileError) {
        try disk.withLock { disk throws(FileError) in try disk.rename(path, to: newPath) }
    }

    package func remove(_ path: String) throws(FileError) {
        try disk.withLock { disk throws(FileError) in try disk.remove(path) }
    }

    package func list(_ directory: String) throws(FileError) -> [String] {
        try disk.withLock { disk throws(FileError) in try disk.list(directory) }
    }

    package func createDirectory(_ path: String) throws(FileError) {
        try disk.withLock { disk throws(FileError) in try disk.createDirectory(path) }
    }

    package func lock(_ path: String) throws(FileError) -> File {
        File(number: try disk.withLock { disk throws(FileError) in try disk.lock(path) })
    }

    package func freeBytes(_ directory: String) throws(FileError) -> Int {
        try disk.withLock { disk throws(FileError) in try disk.freeBytes(directory) }
    }

    // MARK: - Ends

    /// Cuts the power: what was not synced survives in part; open files and locks end.
    ///
    /// `tell` gets what was lost, line by line; it must not use the disk.
    package func crash(_ tell: ((String) -> Void)? = nil) {
        disk.withLock { $0.crash(tell) }
    }

    /// Ends the process: what was written stays; open files and locks end.
    package func kill() {
        disk.withLock { $0.kill() }
    }

    /// A second disk in the same state, open files included, whose future follows from `seed`.
    package func clone(seed: UInt64) -> SimulatedFileSystem {
        var copy = disk.withLock { $0 }
        copy.generator = SeededGenerator(seed: seed)
        return SimulatedFileSystem(copy)
    }

    // MARK: - Counting

    /// What was done since the disk was made.
    package var counters: SimulatedCounters { disk.withLock { $0.counters } }

    /// Calls that change the disk, failed ones included.
    package var operationCount: Int { disk.withLock { $0.operationCount } }

    /// The number of the call in which the process dies; `crash` and `kill` clear it.
    package var crashAtOperation: Int? {
        get { disk.withLock { $0.crashAtOperation } }
        set { disk.withLock { $0.crashAtOperation = newValue } }
    }

    /// True from the call in which the process died until `crash` or `kill`.
    package var isDead: Bool { disk.withLock { $0.isDead } }

    /// Files that are open now.
    package var openFileCount: Int { disk.withLock { $0.openFileCount } }

    /// Bytes on the disk, in whole blocks.
    package var usedBytes: Int { disk.withLock { $0.usedBytes } }

    /// Calls `observer` before each call that changes the disk, with its number and path.
    ///
    /// It runs under the disk's lock and must not use the disk.
    package func beforeEachOperation(
        _ observer: (@Sendable (Int, SimulatedOperation, String) -> Void)?
    ) {
        disk.withLock { $0.observer = observer }
    }

    // MARK: - Faults

    /// Makes calls fail as `fault` says.
    package func fail(_ fault: SimulatedFault) {
        disk.withLock { $0.faults.append(fault) }
    }

    /// Whether a fault of one of these operations is still to strike.
    package func hasFault(_ operations: Set<SimulatedOperation>) -> Bool {
        disk.withLock { disk in
            disk.faults.contains { $0.times > 0 && operations.contains($0.operation) }
        }
    }

    /// Makes one in `count` of these calls fail.
    package func fail(
        _ operation: SimulatedOperation,
        oneIn count: Int,
        _ reason: FileError.Reason
    ) {
        disk.withLock { $0.chances[operation] = (count, reason) }
    }

    /// The calls that failed because of a fault since this was last asked.
    package func takeStrikes() -> [SimulatedStrike] {
        disk.withLock { disk in
            defer { disk.strikes.removeAll() }
            return disk.strikes
        }
    }

    /// Ends all faults, limits and unreadable ranges; damage stays.
    package func clearFaults() {
        disk.withLock { disk in
            disk.faults.removeAll()
            disk.chances.removeAll()
            disk.capacityBytes = nil
            disk.openFilesMax = nil
            disk.allowReads()
        }
    }

    /// The disk's size; nil for one that is never full.
    package var capacityBytes: Int? {
        get { disk.withLock { $0.capacityBytes } }
        set { disk.withLock { $0.capacityBytes = newValue } }
    }

    /// How many files may be open at once; nil for any number.
    ///
    /// Calls that open a file for their own time only fail, too.
    package var openFilesMax: Int? {
        get { disk.withLock { $0.openFilesMax } }
        set { disk.withLock { $0.openFilesMax = newValue } }
    }

    /// Makes reads that touch these bytes fail, under whatever name the file has later.
    package func refuseReads(_ path: String, _ range: Range<Int>) throws(FileError) {
        try disk.withLock { disk throws(FileError) in try disk.refuseReads(path, range) }
    }

    // MARK: - Damage

    /// Turns one bit over, on the disk and for readers.
    package func flipBit(_ path: String, at offset: Int, bit: Int = 0) throws(FileError) {
        try harm(path) { $0.flipBit(bit, at: offset) }
    }

    /// Fills a sector with zeros.
    package func zeroSector(_ path: String, _ sector: Int) throws(FileError) {
        try harm(path) { $0.zeroSector(sector) }
    }

    /// Exchanges two sectors, as a disk that wrote them to the wrong places.
    package func swapSectors(_ path: String, _ first: Int, _ second: Int) throws(FileError) {
        try harm(path) { $0.swapSectors(first, second) }
    }

    private func harm(
        _ path: String,
        _ change: (inout SimulatedInode) -> Void
    ) throws(FileError) {
        try disk.withLock { disk throws(FileError) in try disk.harm(path, change) }
    }

    // MARK: - Looking

    /// The file's bytes as a reader sees them.
    package func contents(_ path: String) throws(FileError) -> [UInt8] {
        try disk.withLock { disk throws(FileError) in try disk.inode(path) }.contents()
    }

    /// The bytes that a power cut leaves for certain, or nil if it may leave no such file.
    package func durableContents(_ path: String) -> [UInt8]? {
        disk.withLock { $0.stableInode(path) }?.stableContents()
    }
}
